"""`minik8s apiserver`: one API server. Flags are kube-apiserver's."""

from pathlib import Path
from typing import Any

import click

from minik8s.cli.admission_flags import admission, admission_flags
from minik8s.cli.aggregation_flags import aggregation_flags, extension_authentication, front_proxy_identity
from minik8s.cli.authentication_flags import authentication, authentication_flags
from minik8s.cli.authorization_flags import authorization, authorization_flags
from minik8s.cli.operations_flags import operations, operations_flags
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.server import ApiServer, Config
from minik8s.control.apiserver.storage import EtcdConfig, EtcdStore, parse_endpoints
from minik8s.kit import ids, log
from minik8s.kit.clock import SystemClock
from minik8s.kit.run import serve
from minik8s.kit.tls import Identity

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--etcd-servers", required=True, metavar="URL,…", help="The store's client URLs.")
@click.option("--etcd-cafile", type=_FILE, help="Authority that signed the store's certificates.")
@click.option("--etcd-certfile", type=_FILE, help="Our client certificate for the store.")
@click.option("--etcd-keyfile", type=_FILE, help="Its key.")
@click.option("--bind-address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--secure-port", default=6443, show_default=True, help="Port of the REST face.")
@click.option("--grpc-port", default=6444, show_default=True, help="Port of the gRPC face.")
@click.option("--tls-cert-file", type=_FILE, required=True, help="Serving certificate.")
@click.option("--tls-private-key-file", type=_FILE, required=True, help="Its key.")
@click.option("--client-ca-file", type=_FILE, required=True, help="Authority that signs clients' certificates.")
@click.option(
    "--service-cluster-ip-range", default="10.96.0.0/16", show_default=True, metavar="CIDR", help="Service addresses."
)
@click.option("--kubelet-certificate-authority", type=_FILE, help="Authority that signed the kubelets' certificates.")
@click.option("--kubelet-client-certificate", type=_FILE, help="Our client certificate for kubelets.")
@click.option("--kubelet-client-key", type=_FILE, help="Its key.")
@aggregation_flags
@authentication_flags
@authorization_flags
@admission_flags
@operations_flags
@click.option("--health-port", default=0, help="Serve /readyz and /metrics on this loopback port.  [default: none]")
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
def command(
    etcd_servers: str,
    etcd_cafile: Path | None,
    etcd_certfile: Path | None,
    etcd_keyfile: Path | None,
    bind_address: str,
    secure_port: int,
    grpc_port: int,
    tls_cert_file: Path,
    tls_private_key_file: Path,
    client_ca_file: Path,
    service_cluster_ip_range: str,
    kubelet_certificate_authority: Path | None,
    kubelet_client_certificate: Path | None,
    kubelet_client_key: Path | None,
    health_port: int,
    log_level: str,
    **flags: Any,
) -> None:
    """Run an API server: REST over TLS, the same API over gRPC, state in the store alone.

    \b
    minik8s apiserver --etcd-servers https://127.0.0.1:2379 --etcd-cafile ca.crt \\
      --etcd-certfile etcd-client.crt --etcd-keyfile etcd-client.key \\
      --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key --client-ca-file ca.crt
    """
    log.configure(log_level)
    store_identity = _identity("--etcd-", etcd_certfile, etcd_keyfile, etcd_cafile)
    kubelet_identity = _identity(
        "--kubelet-client-", kubelet_client_certificate, kubelet_client_key, kubelet_certificate_authority
    )
    proxy_ca_file = flags["requestheader_client_ca_file"]
    front_proxy = front_proxy_identity(flags, client_ca_file)
    told = extension_authentication(flags, client_ca_file)
    who = authentication(flags, client_ca_file)
    asked, webhook = authorization(flags)
    config = Config(
        proxy_ca_file=proxy_ca_file,
        identity=Identity(tls_cert_file, tls_private_key_file, client_ca_file),
        bind_address=bind_address,
        secure_port=secure_port,
        grpc_port=grpc_port,
        kubelet_identity=kubelet_identity,
        front_proxy_identity=front_proxy,
        core=CoreConfig(
            service_cidr=_network(service_cluster_ip_range),
            bind_address=bind_address,
            secure_port=secure_port,
            authorization_modes=asked,
            authorization_webhook=webhook,
            authentication=who,
            admission=admission(flags),
            has_api_services=True,
            event_ttl_s=flags["event_ttl"],
            compaction_interval_s=flags["etcd_compaction_interval"],
            extension_authentication=told,
        ),
        **operations(flags),
    )
    rng = ids.system_random()
    endpoints = _endpoints(etcd_servers, store_identity)
    # In random order, so that several apiservers spread over the store's members.
    store = EtcdStore(EtcdConfig(tuple(rng.sample(endpoints, len(endpoints))), store_identity))
    server = ApiServer(config, store, clock=SystemClock(), rng=rng)
    raise SystemExit(serve(server, health_address=("127.0.0.1", health_port) if health_port else None))


def _identity(prefix: str, cert: Path | None, key: Path | None, ca: Path | None) -> Identity | None:
    if cert and key and ca:
        return Identity(cert, key, ca)
    if cert or key or ca:
        raise click.UsageError(f"{prefix}* flags come together: certificate, key and authority")
    return None


def _endpoints(urls: str, identity: Identity | None) -> tuple[str, ...]:
    try:
        endpoints, is_tls = parse_endpoints([url for url in urls.split(",") if url])
    except ValueError as error:
        raise click.UsageError(f"--etcd-servers: {error}") from None
    if is_tls != (identity is not None):
        needs = "https URLs need" if is_tls else "http URLs do not take"
        raise click.UsageError(f"--etcd-servers: {needs} --etcd-cafile, --etcd-certfile and --etcd-keyfile")
    return endpoints


def _network(cidr: str) -> str:
    from ipaddress import ip_network

    try:
        ip_network(cidr)
    except ValueError as error:
        raise click.UsageError(f"--service-cluster-ip-range: {error}") from None
    return cidr
