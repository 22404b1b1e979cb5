"""`minik8s up`: make a cluster, or start it again with its data, and wait until it works."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import msgspec

from minik8s.cli import components, kubeconfig
from minik8s.cli.api import Api
from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import Cluster, ClusterError, ExternalStore, default_data_directory
from minik8s.cli.progress import Progress
from minik8s.cli.record import Wanted, settle
from minik8s.cli.startup import Startup, StartupError
from minik8s.cli.supervisor import read_state
from minik8s.cli.teardown import Teardown, stop_cluster

# The fork server imports these while this process makes the certificates.
_FIRST_IMPORTS = ["minik8s.cli.store", "minik8s.store", "minik8s.wire.etcd", "grpc.aio"]


@click.command()
@click.option("--name", default="default", show_default=True, help="The cluster; several run side by side.")
@click.option("--stores", type=int, help="Replicas of the store. Fixed when the cluster is made.  [default: 3]")
@click.option("--apiservers", type=int, help="API servers; more than one get a load balancer.  [default: 2]")
@click.option("--nodes", type=int, help="Nodes, each a kubelet and a runtime.  [default: 2]")
@click.option("--kubeconfig", "kubeconfig_file", type=click.Path(path_type=Path), help="Write this file alone.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where clusters live.  [default: ~/.local/share/minik8s]"
)
@click.option("--store-endpoints", help="Use a given etcd (URLs, separated by commas) and start no store.")
@click.option("--store-cafile", default="", help="With --store-endpoints: its authority.")
@click.option("--store-certfile", default="", help="With --store-endpoints: a client certificate.")
@click.option("--store-keyfile", default="", help="With --store-endpoints: its key.")
@click.option("--wait", "wait_s", default=60.0, show_default=True, help="Seconds to wait until it is ready.")
@click.option("--foreground", is_flag=True, help="Stay, and stop the cluster on Ctrl-C.")
def command(
    name: str,
    stores: int | None,
    apiservers: int | None,
    nodes: int | None,
    kubeconfig_file: Path | None,
    data_dir: Path | None,
    store_endpoints: str | None,
    store_cafile: str,
    store_certfile: str,
    store_keyfile: str,
    wait_s: float,
    foreground: bool,
) -> None:
    """Start a cluster, or start it again with its data.

    \b
    minik8s up                                  three stores, two API servers, two nodes
    minik8s up --name small --stores 1 --apiservers 1 --nodes 1
    minik8s up --name b --kubeconfig ./b.yaml   a second one, with a kubeconfig of its own
    """
    progress = Progress()
    store = None
    if store_endpoints:
        urls = [url.strip() for url in store_endpoints.split(",")]
        store = ExternalStore(endpoints=urls, ca_file=store_cafile, cert_file=store_certfile, key_file=store_keyfile)
    wanted = Wanted(
        name=name,
        stores=stores,
        apiservers=apiservers,
        nodes=nodes,
        store=store,
        kubeconfig=str(kubeconfig_file.absolute()) if kubeconfig_file else "",
    )
    try:
        directory = (data_dir or default_data_directory()).absolute() / name
        cluster = settle(directory, wanted)
        launch = _Launch(cluster, directory, progress)
        if launch.is_running():
            launch.confirm(wait_s)
        else:
            launch.start(wait_s, foreground=foreground)
    except (ClusterError, kubeconfig.KubeconfigError, StartupError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


class _Launch:
    def __init__(self, cluster: Cluster, directory: Path, progress: Progress) -> None:
        self._cluster, self._directory, self._progress = cluster, directory, progress
        self._kubeconfig = Path(cluster.kubeconfig) if cluster.kubeconfig else kubeconfig.user_file()

    def is_running(self) -> bool:
        """Whether the cluster has a supervisor already."""
        state = read_state(self._directory)
        return state is not None and state.supervisor.is_alive()

    def confirm(self, wait_s: float) -> None:
        """Say that it runs, once it is known to be well. Raises StartupError if it is not."""
        cluster = self._cluster
        self._progress.say(f"cluster {cluster.name} is already running")
        certificates = Certificates(cluster, self._directory / "pki")
        self._wait(certificates, self.is_running, wait_s)
        self._finish(certificates)

    def start(self, wait_s: float, *, foreground: bool) -> None:
        """Start it and wait. Raises StartupError, after stopping what was started."""
        cluster, directory = self._cluster, self._directory
        size = f"{cluster.stores} stores" if not cluster.store else f"store {','.join(cluster.store_urls)}"
        size += f", {cluster.apiservers} API servers, {cluster.nodes} nodes"
        self._progress.say(f"starting cluster {cluster.name} ({size}) in {directory}")
        stop_cluster(directory)  # what a killed supervisor may have left
        supervisor = _spawn(directory)
        try:
            certificates = Certificates(cluster, directory / "pki")
            certificates.issue_all()
            plan = components.plan(cluster, directory, certificates, follow_parent=foreground)
            assert supervisor.stdin is not None
            supervisor.stdin.write(msgspec.json.encode(plan))
            supervisor.stdin.close()
            self._wait(certificates, lambda: supervisor.poll() is None, wait_s)
            self._finish(certificates)
        except BaseException as error:
            supervisor.terminate()
            supervisor.wait()
            stop_cluster(directory)
            if isinstance(error, KeyboardInterrupt):
                raise click.ClickException("interrupted: the cluster is stopped again, its data is kept") from error
            raise
        if foreground:
            self._stay(supervisor)

    def _wait(self, certificates: Certificates, is_supervised: Callable[[], bool], wait_s: float) -> None:
        api = Api(self._cluster.api_url, certificates.admin())
        Startup(self._cluster, self._directory, api, self._progress, is_supervised, wait_s).wait()

    def _finish(self, certificates: Certificates) -> None:
        cluster, file = self._cluster, self._kubeconfig
        kubeconfig.add(file, kubeconfig.entries(cluster.context, cluster.api_url, certificates.admin()))
        option = f" --name {cluster.name}" if cluster.name != "default" else ""
        self._progress.say(f"ready in {self._progress.total_s:.2f} s: context {cluster.context} in {file}")
        flag = f" --kubeconfig {file}" if cluster.kubeconfig else ""
        self._progress.say(f"next: kubectl{flag} get nodes; minik8s status{option}; minik8s down{option}")

    def _stay(self, supervisor: "subprocess.Popen[bytes]") -> NoReturn:
        def end(number: int, frame: FrameType | None) -> NoReturn:
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, end)
        self._progress.say("Ctrl-C stops the cluster")
        try:
            code = supervisor.wait()
            self._progress.say("the supervisor ended; logs: " + str(self._directory / "logs"))
        except KeyboardInterrupt:
            code = 0
        teardown = Teardown(self._cluster, self._directory)
        teardown.run()
        raise SystemExit(code)


def _spawn(directory: Path) -> "subprocess.Popen[bytes]":
    """The supervisor, importing, and waiting for its plan; in a session of its own, so that it outlives this one."""
    logs = directory / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    (directory / "run").mkdir(mode=0o700, exist_ok=True)
    arguments = [sys.executable, "-m", "minik8s.cli.supervisor", *_FIRST_IMPORTS]
    with (logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=directory, start_new_session=True
        )
