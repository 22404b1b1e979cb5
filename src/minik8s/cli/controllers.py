"""`minik8s controllers`: the controllers, with kube-controller-manager's flags."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minik8s.cli.client_flags import DURATION, client_flags, connect, leader_flags
from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock

if TYPE_CHECKING:
    from minik8s.kit.jws import SigningKey

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Example:
  minik8s controllers --server 127.0.0.1:6444 --certificate-authority pki/ca.crt \\
    --client-certificate pki/controllers.crt --client-key pki/controllers.key"""
)
@client_flags
@leader_flags
@click.option("--cluster-cidr", default="", help="Range that nodes' pod addresses are cut from; without it, none are.")
@click.option("--node-cidr-mask-size", default=24, show_default=True, help="Size of each node's part.")
@click.option(
    "--node-monitor-grace-period", type=DURATION, default="40s", show_default=True, help="Silence of a dead node."
)
@click.option("--concurrent-syncs", default=5, show_default=True, help="Objects that each controller works on at once.")
@click.option("--root-ca-file", type=_FILE, help="Published as kube-root-ca.crt.  [default: --certificate-authority]")
@click.option(
    "--service-account-private-key-file", type=_FILE, help="Key that signs the tokens in Secrets of ServiceAccounts."
)
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
def command(
    server: str,
    certificate_authority: Path | None,
    client_certificate: Path | None,
    client_key: Path | None,
    leader_elect: bool,
    leader_elect_lease_duration: float,
    leader_elect_renew_deadline: float,
    leader_elect_retry_period: float,
    cluster_cidr: str,
    node_cidr_mask_size: int,
    node_monitor_grace_period: float,
    concurrent_syncs: int,
    root_ca_file: Path | None,
    service_account_private_key_file: Path | None,
    log_level: str,
    health_port: int,
) -> None:
    """Run the controllers: Deployments, ReplicaSets, EndpointSlices, nodes, namespaces, accounts, garbage collection.

    Several may run; one works, the others stand by.
    """
    transport = connect(
        server=server,
        certificate_authority=certificate_authority,
        client_certificate=client_certificate,
        client_key=client_key,
    )
    from minik8s.client.client import Client
    from minik8s.client.leader import Timing
    from minik8s.control.controllers.context import Config
    from minik8s.control.controllers.manager import Manager
    from minik8s.control.controllers.nodeipam import cidr_fault

    timing = Timing(leader_elect_lease_duration, leader_elect_renew_deadline, leader_elect_retry_period)
    if fault := timing.fault():
        raise click.UsageError(f"--leader-elect-…: {fault}")
    if cluster_cidr and (fault := cidr_fault(cluster_cidr, node_cidr_mask_size)):
        raise click.UsageError(f"--cluster-cidr: {fault}")
    log.configure(log_level)
    rng = ids.system_random()
    config = Config(
        workers=concurrent_syncs,
        cluster_cidr=cluster_cidr,
        node_cidr_mask_size=node_cidr_mask_size,
        node_monitor_grace_s=node_monitor_grace_period,
        root_ca=_text(root_ca_file or certificate_authority),
        account_key=_key(service_account_private_key_file),
        leader_elect=leader_elect,
        timing=timing,
    )
    manager = Manager(
        config,
        Client(transport, field_manager="kube-controller-manager"),
        clock=SystemClock(),
        rng=rng,
        identity=f"{socket.gethostname()}_{ids.new_uuid(rng)}",
    )
    raise SystemExit(run.serve(manager, health_address=("127.0.0.1", health_port) if health_port else None))


def _text(file: Path | None) -> str:
    try:
        return file.read_text() if file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--root-ca-file: cannot read {file}: {error}") from error


def _key(file: Path | None) -> "SigningKey | None":
    if file is None:
        return None
    from minik8s.kit import jws

    try:
        return jws.read_signing_key(file)
    except (OSError, jws.BadKey) as error:
        raise click.UsageError(f"--service-account-private-key-file: {error}") from error
