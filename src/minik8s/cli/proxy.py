"""`minik8s proxy`: the service proxy, one per host."""

from pathlib import Path

import click

from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Identity


@click.command(
    epilog="""\b
Example:
  minik8s proxy --server 127.0.0.1:7443,127.0.0.1:7444 \\
    --certificate-authority ca.crt --client-certificate proxy.crt --client-key proxy.key"""
)
@click.option("--server", required=True, help="API servers' gRPC addresses: HOST:PORT[,HOST:PORT…].")
@click.option("--certificate-authority", required=True, type=click.Path(path_type=Path), help="Of the API servers.")
@click.option("--client-certificate", required=True, type=click.Path(path_type=Path), help="To show API servers.")
@click.option("--client-key", required=True, type=click.Path(path_type=Path), help="And its key.")
@click.option("--nodeport-address", default="127.0.0.1", show_default=True, help='Serves NodePorts; "": none.')
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
def command(
    server: str,
    certificate_authority: Path,
    client_certificate: Path,
    client_key: Path,
    nodeport_address: str,
    log_level: str,
    health_port: int,
) -> None:
    """Make Services reachable at their cluster IPs, in user space: addresses of 127/8, no rights needed.

    Ports below 1024 need root. Connections end with the proxy; its successor takes new ones.
    """
    from minik8s.client.client import Client
    from minik8s.client.transport_grpc import GrpcTransport
    from minik8s.node.proxy.proxy import Config, Proxy

    log.configure(log_level)
    transport = GrpcTransport(server.split(","), Identity(client_certificate, client_key, certificate_authority))
    client = Client(transport, field_manager="kube-proxy")
    config = Config(node_ports_ip=nodeport_address)
    proxy = Proxy(config, client, clock=SystemClock(), rng=ids.system_random())
    raise SystemExit(run.serve(proxy, health_address=("127.0.0.1", health_port) if health_port else None))
