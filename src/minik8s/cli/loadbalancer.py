"""`minik8s loadbalancer`: the health-checked address in front of several API servers."""

from pathlib import Path

import click

from minik8s.cli.balancer import Address, Balancer, Config
from minik8s.kit import log
from minik8s.kit.run import serve


def _address(text: str) -> Address:
    host, colon, port = text.strip().rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise click.BadParameter(f"{text!r} is not HOST:PORT")
    return host, int(port)


@click.command()
@click.option("--listen", default="127.0.0.1:6443", show_default=True, metavar="HOST:PORT", help="Where clients come.")
@click.option("--backends", required=True, metavar="HOST:PORT,…", help="The API servers' REST addresses.")
@click.option(
    "--certificate-authority",
    "ca_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Who signs their certificates: ask their /readyz.  [default: only see whether they take connections]",
)
@click.option("--health-port", default=0, help="Serve /readyz and /metrics on this loopback port.  [default: none]")
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
def command(listen: str, backends: str, ca_file: Path | None, health_port: int, log_level: str) -> None:
    """Balance TCP connections over API servers, leaving out those that are not well. TLS passes through.

    \b
    minik8s loadbalancer --listen 127.0.0.1:6443 --backends 127.0.0.1:6444,127.0.0.1:6445 \\
      --certificate-authority ca.crt
    """
    log.configure(log_level)
    config = Config(listen=_address(listen), backends=tuple(map(_address, backends.split(","))), ca_file=ca_file)
    raise SystemExit(serve(Balancer(config), health_address=("127.0.0.1", health_port) if health_port else None))
