"""`minik8s scheduler`: the scheduler, with kube-scheduler's flags."""

import socket
from pathlib import Path

import click

from minik8s.cli.client_flags import client_flags, connect, leader_flags
from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock


@click.command(
    epilog="""\b
Example:
  minik8s scheduler --server 127.0.0.1:6444 --certificate-authority pki/ca.crt \\
    --client-certificate pki/scheduler.crt --client-key pki/scheduler.key"""
)
@client_flags
@leader_flags
@click.option("--scheduler-name", default="default-scheduler", show_default=True, help="Pods ask for it by this name.")
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
    scheduler_name: str,
    log_level: str,
    health_port: int,
) -> None:
    """Run the scheduler: it gives pods their nodes.

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
    from minik8s.control.scheduler.scheduler import Config, Scheduler

    timing = Timing(leader_elect_lease_duration, leader_elect_renew_deadline, leader_elect_retry_period)
    if fault := timing.fault():
        raise click.UsageError(f"--leader-elect-…: {fault}")
    log.configure(log_level)
    rng = ids.system_random()
    scheduler = Scheduler(
        Config(scheduler_name=scheduler_name, leader_elect=leader_elect, timing=timing),
        Client(transport, field_manager="kube-scheduler"),
        clock=SystemClock(),
        rng=rng,
        identity=f"{socket.gethostname()}_{ids.new_uuid(rng)}",
    )
    raise SystemExit(run.serve(scheduler, health_address=("127.0.0.1", health_port) if health_port else None))
