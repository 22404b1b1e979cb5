"""`minik8s store`: one replica of the store, with etcd's flags."""

import gc
import importlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minik8s.cli.client_flags import DURATION, Duration
from minik8s.kit import ids, log, run, tls
from minik8s.kit.clock import SystemClock

if TYPE_CHECKING:
    from minik8s.store.autocompaction import Retention

_COMMANDS = {
    "member": "List, add, promote and remove the members of a running store.",
    "snapshot": "Back up a running store; start a new cluster from a backup.",
}

_MODES = ["periodic", "revision"]
_QUOTA_BYTES = 2 << 30

_COLLECTIONS = (10_000, 20, 1_000)

# May stand alone or have a value, as Go's: --x, --x=false.
_switch = partial(click.option, is_flag=False, flag_value=True, default=False, type=bool)


class _Store(click.Group):
    """Runs a replica by itself; what needs a running one is below it, and imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        return importlib.import_module(f"minik8s.cli.store_{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Store,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND]",
    epilog="""\b
Example, a cluster of one without certificates:
  minik8s store --name s1 --data-dir /tmp/s1 --listen-client-urls http://127.0.0.1:2379
  ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:2379 put greeting hello""",
)
@click.option("--name", default="default", show_default=True, help="This member's name.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Its data.  [default: NAME.etcd]")
@click.option("--listen-client-urls", default="http://127.0.0.1:2379", show_default=True, help="Where clients come.")
@click.option("--advertise-client-urls", help="Where clients are told to come.  [default: --listen-client-urls]")
@click.option("--listen-peer-urls", default="http://127.0.0.1:2380", show_default=True, help="Where members come.")
@click.option("--initial-advertise-peer-urls", help="Where members are told to come.  [default: --listen-peer-urls]")
@click.option("--initial-cluster", help="NAME=URL,… of all members, this one included.  [default: this one alone]")
@click.option(
    "--initial-cluster-state",
    default="new",
    show_default=True,
    type=click.Choice(["new", "existing"]),
    help="existing: of a member that was added to a running cluster.",
)
@click.option("--initial-cluster-token", default="etcd-cluster", show_default=True, help="Keeps clusters apart.")
@click.option("--cert-file", type=click.Path(path_type=Path), help="Certificate shown to clients.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Its key.")
@click.option("--trusted-ca-file", type=click.Path(path_type=Path), help="Authority of clients' certificates.")
@_switch("--client-cert-auth", help="Insist on a client certificate.")
@click.option("--peer-cert-file", type=click.Path(path_type=Path), help="Certificate shown to members; its CN is NAME.")
@click.option("--peer-key-file", type=click.Path(path_type=Path), help="Its key.")
@click.option("--peer-trusted-ca-file", type=click.Path(path_type=Path), help="Authority of members' certificates.")
@_switch("--peer-client-cert-auth", help="Always on where members use TLS; taken for etcd's sake.")
@click.option("--listen-metrics-urls", default="", help="Where to serve /metrics, /health and /readyz over HTTP.")
@click.option("--heartbeat-interval", default=100, show_default=True, help="Milliseconds.")
@click.option("--election-timeout", default=1000, show_default=True, help="Milliseconds.")
@click.option("--max-request-bytes", default=1572864, show_default=True, help="The largest request accepted.")
@click.option("--max-txn-ops", default=128, show_default=True, help="The longest list in a transaction.")
@click.option(
    "--watch-progress-notify-interval", type=Duration(), default="10m", show_default=True, help="For watches that ask."
)
@click.option(
    "--quota-backend-bytes", default=0, show_default=True, help="When full, writes stop. 0: 2 GiB; negative: no quota."
)
@click.option(
    "--snapshot-count",
    default=30_000,
    show_default=True,
    type=click.IntRange(min=100),
    help="Entries of the log between two snapshots of the state.",
)
@click.option("--auto-compaction-mode", default="periodic", show_default=True, type=click.Choice(_MODES))
@click.option(
    "--auto-compaction-retention", default="0", help="History kept: hours or a duration; revisions.  [default: 0, all]"
)
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    data_dir: Path | None,
    listen_client_urls: str,
    advertise_client_urls: str | None,
    listen_peer_urls: str,
    initial_advertise_peer_urls: str | None,
    initial_cluster: str | None,
    initial_cluster_state: str,
    initial_cluster_token: str,
    cert_file: Path | None,
    key_file: Path | None,
    trusted_ca_file: Path | None,
    client_cert_auth: bool,
    peer_cert_file: Path | None,
    peer_key_file: Path | None,
    peer_trusted_ca_file: Path | None,
    peer_client_cert_auth: bool,
    listen_metrics_urls: str,
    heartbeat_interval: int,
    election_timeout: int,
    max_request_bytes: int,
    max_txn_ops: int,
    watch_progress_notify_interval: float,
    quota_backend_bytes: int,
    snapshot_count: int,
    auto_compaction_mode: str,
    auto_compaction_retention: str,
    log_level: str,
    health_port: int,
) -> None:
    """Run one replica of the store: etcd's API over Raft. Any etcd v3 client works with it.

    Members are named by --initial-cluster, equal on all of them; a member that is started again finds its data.
    """
    if ctx.invoked_subcommand:
        return
    from minik8s.store.cluster import parse_cluster, parse_urls
    from minik8s.store.member import Config, Member

    peer_urls = initial_advertise_peer_urls or listen_peer_urls
    try:
        cluster = parse_cluster(
            initial_cluster or ",".join(f"{name}={url}" for url in parse_urls(peer_urls)), initial_cluster_token
        )
        client_urls, peer_listen_urls = parse_urls(listen_client_urls), parse_urls(listen_peer_urls)
        advertised = parse_urls(advertise_client_urls or listen_client_urls)
        metrics_urls = parse_urls(listen_metrics_urls)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if name not in cluster.peer_urls:
        raise click.UsageError(
            f"--initial-cluster has no member {name!r} (--name): it has {', '.join(cluster.peer_urls)}"
        )
    if not client_urls or len(peer_listen_urls) != 1:
        raise click.UsageError("give at least one --listen-client-urls and exactly one --listen-peer-urls")
    if election_timeout < 5 * heartbeat_interval:
        raise click.UsageError("--election-timeout must be at least five times --heartbeat-interval")
    log.configure(log_level)
    config = Config(
        name=name,
        data_dir=(data_dir or Path(f"{name}.etcd")).absolute(),
        cluster=cluster,
        listen_client_urls=client_urls,
        advertise_client_urls=advertised,
        listen_peer_url=peer_listen_urls[0],
        metrics_urls=metrics_urls,
        joins=initial_cluster_state == "existing",
        client_identity=_identity("", client_urls, cert_file, key_file, trusted_ca_file),
        client_certificate_required=client_cert_auth,
        peer_identity=_identity("peer-", peer_listen_urls, peer_cert_file, peer_key_file, peer_trusted_ca_file),
        heartbeat_s=heartbeat_interval / 1000,
        election_timeout_s=election_timeout / 1000,
        request_bytes_max=max_request_bytes,
        operations_max=max_txn_ops,
        progress_interval_s=watch_progress_notify_interval,
        quota_bytes=quota_backend_bytes or _QUOTA_BYTES,
        snapshot_entries=snapshot_count,
        retention=_retention(auto_compaction_mode, auto_compaction_retention),
    )
    member = Member(config, clock=SystemClock(), rng=ids.system_random())
    # Keys make no cycles, but the collector would walk all of them, and stop everything meanwhile.
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
    raise SystemExit(run.serve(member, health_address=("127.0.0.1", health_port) if health_port else None))


def _retention(mode: str, text: str) -> "Retention | None":
    """As etcd: a bare number means hours in periodic mode, and 0 switches compaction off."""
    from minik8s.store.autocompaction import Retention

    name = "--auto-compaction-retention"
    if text.isdigit():
        amount = float(text) * (3600 if mode == "periodic" else 1)
    elif mode == "periodic":
        amount = DURATION.convert(text, None, None)
    else:
        raise click.UsageError(f"{name} must be a number of revisions with --auto-compaction-mode=revision")
    return Retention(mode, amount) if amount else None


def _identity(
    prefix: str, urls: tuple[str, ...], cert: Path | None, key: Path | None, authority: Path | None
) -> tls.Identity | None:
    """What https URLs need and http URLs cannot have."""
    schemes = {url.partition(":")[0] for url in urls}
    if schemes == {"http"}:
        return None
    if len(schemes) > 1:
        raise click.UsageError(f"{', '.join(urls)}: use https for all or for none")
    if not (cert and key and authority):
        raise click.UsageError(f"{urls[0]} needs --{prefix}cert-file, --{prefix}key-file and --{prefix}trusted-ca-file")
    return tls.Identity(cert, key, authority)
