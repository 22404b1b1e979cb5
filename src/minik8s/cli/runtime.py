"""`minik8s runtime`: a container runtime that answers CRI on a unix socket."""

from pathlib import Path

import click

from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock


@click.command(
    epilog="""\b
Example:
  minik8s runtime --listen unix:///tmp/n1/cri.sock --root /tmp/n1/runtime
  minik8s kubelet --container-runtime-endpoint unix:///tmp/n1/cri.sock …"""
)
@click.option("--listen", required=True, help="Where to answer CRI: unix:///path.")
@click.option("--root", required=True, type=click.Path(path_type=Path, file_okay=False), help="Directory of all state.")
@click.option("--engine", default="process", show_default=True, help="What runs containers: process.")
@click.option("--stop-grace", default=2.0, show_default=True, help="Seconds between SIGTERM and SIGKILL at the end.")
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
def command(listen: str, root: Path, engine: str, stop_grace: float, log_level: str, health_port: int) -> None:
    """Run a container runtime.

    Ended (SIGTERM, SIGINT) it stops its containers; killed, it leaves them running and its successor adopts them.
    """
    from minik8s.node.runtime.server import Config, RuntimeServer

    if not listen.startswith("unix:///"):
        raise click.BadParameter("must be unix:// and an absolute path", param_hint="--listen")
    log.configure(log_level)
    config = Config(
        listen=Path(listen.removeprefix("unix://")), root=root.absolute(), engine=engine, stop_grace_s=stop_grace
    )
    server = RuntimeServer(config, clock=SystemClock(), rng=ids.system_random())
    raise SystemExit(run.serve(server, health_address=("127.0.0.1", health_port) if health_port else None))
