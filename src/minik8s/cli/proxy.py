"""`minik8s proxy`: the service proxy, one per host."""

from typing import Any

import click

from minik8s.cli.client_flags import client_flags, connect
from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock


@click.command(
    epilog="""\b
Example:
  minik8s proxy --server 127.0.0.1:7443,127.0.0.1:7444 \\
    --certificate-authority ca.crt --client-certificate proxy.crt --client-key proxy.key"""
)
@client_flags
@click.option("--nodeport-address", default="127.0.0.1", show_default=True, help='Serves NodePorts; "": none.')
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
def command(
    nodeport_address: str,
    log_level: str,
    health_port: int,
    **server: Any,
) -> None:
    """Make Services reachable at their cluster IPs, in user space: addresses of 127/8, no rights needed.

    Ports below 1024 need root. Connections end with the proxy; its successor takes new ones.
    """
    from minik8s.client.client import Client
    from minik8s.node.proxy.proxy import Config, Proxy

    log.configure(log_level)
    client = Client(connect(**server), field_manager="kube-proxy")
    config = Config(node_ports_ip=nodeport_address)
    proxy = Proxy(config, client, clock=SystemClock(), rng=ids.system_random())
    raise SystemExit(run.serve(proxy, health_address=("127.0.0.1", health_port) if health_port else None))
