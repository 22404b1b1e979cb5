"""A cluster's components as values: for each the command line that `minik8s` would be given by hand.

Pure: a Cluster in, a supervisor Plan out. Starting order is the list's order; stages are stopped from the highest,
so that pods end while their API is still there, and clients go before their servers.
"""

from collections.abc import Iterator
from pathlib import Path

from minik8s.cli.addresses import claim_name
from minik8s.cli.certificates import FRONT_PROXY, Certificates
from minik8s.cli.cluster import Cluster
from minik8s.cli.supervisor import Plan, Task
from minik8s.kit.tls import Identity

# Sooner than upstream's 15/10/2 s: a killed holder on this machine is gone for sure, and people wait.
_LEASE: dict[str, object] = {
    "leader-elect-lease-duration": "5s",
    "leader-elect-renew-deadline": "3s",
    "leader-elect-retry-period": "500ms",
}

_STAGE_STORE, _STAGE_APISERVER, _STAGE_CLIENT, _STAGE_RUNTIME, _STAGE_KUBELET = range(5)


def plan(cluster: Cluster, directory: Path, certificates: Certificates, *, follow_parent: bool = False) -> Plan:
    """Everything the supervisor needs to run `cluster` in `directory`."""
    layout = _Layout(cluster, directory, certificates)
    return Plan(
        directory=str(directory),
        tasks=list(layout.tasks()),
        claims=[claim_name(cluster.network)],
        follow_parent=follow_parent,
    )


Flags = dict[str, object]


class _Layout:
    def __init__(self, cluster: Cluster, directory: Path, certificates: Certificates) -> None:
        self._cluster, self._directory, self._certificates = cluster, directory, certificates

    def tasks(self) -> Iterator[Task]:
        cluster = self._cluster
        yield from map(self._store, cluster.store_names)
        yield from map(self._apiserver, cluster.apiserver_names)
        if cluster.apiservers > 1:
            yield self._loadbalancer()
        # Before the nodes: a kubelet is not Ready until a controller has cut its range of pod addresses.
        yield self._controllers()
        for node in cluster.node_names:
            yield self._runtime(node)
            yield self._kubelet(node)
        yield self._scheduler()
        yield self._proxy()

    def _store(self, name: str) -> Task:
        identity = self._certificates.store(name)
        peers = {peer: f"https://127.0.0.1:{self._port(f'{peer}/peer')}" for peer in self._cluster.store_names}
        client_url = f"https://127.0.0.1:{self._port(f'{name}/client')}"
        flags: Flags = {
            "name": name,
            "data-dir": self._directory / name,
            "listen-client-urls": client_url,
            "advertise-client-urls": client_url,
            "listen-peer-urls": peers[name],
            "initial-advertise-peer-urls": peers[name],
            "initial-cluster": ",".join(f"{peer}={url}" for peer, url in peers.items()),
            "initial-cluster-state": "new",
            "initial-cluster-token": self._cluster.context,
            "cert-file": identity.cert_file,
            "key-file": identity.key_file,
            "trusted-ca-file": identity.ca_file,
            "client-cert-auth": None,
            "peer-cert-file": identity.cert_file,
            "peer-key-file": identity.key_file,
            "peer-trusted-ca-file": identity.ca_file,
            "peer-client-cert-auth": None,
            "listen-metrics-urls": f"http://127.0.0.1:{self._port(f'{name}/health')}",
        }
        return _task(name, "store", flags, stage=_STAGE_STORE, imports=["minik8s.store", "minik8s.wire.etcd"])

    def _apiserver(self, name: str) -> Task:
        certificates = self._certificates
        serving, kubelet_client = certificates.apiserver(), certificates.kubelet_client()
        front_proxy = certificates.front_proxy()
        flags: Flags = {"etcd-servers": ",".join(self._cluster.store_urls)}
        if store := certificates.store_client():
            flags |= {"etcd-cafile": store.ca_file, "etcd-certfile": store.cert_file, "etcd-keyfile": store.key_file}
        flags |= {
            "bind-address": "127.0.0.1",
            "secure-port": self._port(f"{name}/rest"),
            "grpc-port": self._port(f"{name}/grpc"),
            "tls-cert-file": serving.cert_file,
            "tls-private-key-file": serving.key_file,
            "client-ca-file": serving.ca_file,
            "service-account-signing-key-file": certificates.accounts_key(),
            "service-cluster-ip-range": self._cluster.service_cidr,
            "allow-loopback-endpoints": None,  # Pods of the process engine live on 127.0.0.0/8.
            "requestheader-client-ca-file": front_proxy.ca_file,
            "requestheader-allowed-names": FRONT_PROXY,
            "proxy-client-cert-file": front_proxy.cert_file,
            "proxy-client-key-file": front_proxy.key_file,
            "kubelet-certificate-authority": kubelet_client.ca_file,
            "kubelet-client-certificate": kubelet_client.cert_file,
            "kubelet-client-key": kubelet_client.key_file,
        }
        return _task(name, "apiserver", flags, stage=_STAGE_APISERVER, imports=["minik8s.control.apiserver"])

    def _loadbalancer(self) -> Task:
        backends = [f"127.0.0.1:{self._port(f'{name}/rest')}" for name in self._cluster.apiserver_names]
        flags: Flags = {
            "listen": f"127.0.0.1:{self._port('loadbalancer')}",
            "backends": ",".join(backends),
            "certificate-authority": self._certificates.admin().ca_file,
            "health-port": self._port("loadbalancer/health"),
        }
        return _task("loadbalancer", "loadbalancer", flags, stage=_STAGE_CLIENT)

    def _runtime(self, node: str) -> Task:
        name = f"runtime-{node}"
        flags: Flags = {
            "listen": self._runtime_endpoint(node),
            "root": self._directory / name,
            "engine": "process",
            "health-port": self._port(f"{name}/health"),
        }
        imports = ["minik8s.node.runtime", "minik8s.wire.cri"]
        return _task(name, "runtime", flags, stage=_STAGE_RUNTIME, imports=imports)

    def _kubelet(self, node: str) -> Task:
        name = f"kubelet-{node}"
        identity = self._certificates.node(node)
        flags: Flags = {
            "hostname-override": node,
            "node-ip": self._cluster.node_ip(node),
            "port": 10250,
            "root-dir": self._directory / name,
            "container-runtime-endpoint": self._runtime_endpoint(node),
            "tls-cert-file": identity.cert_file,
            "tls-private-key-file": identity.key_file,
            "client-ca-file": identity.ca_file,
            "health-port": self._port(f"{name}/health"),
        }
        imports = ["minik8s.node.kubelet"]
        return _task(name, "kubelet", self._client(identity) | flags, stage=_STAGE_KUBELET, imports=imports)

    def _controllers(self) -> Task:
        flags = self._client(self._certificates.user("controllers")) | _LEASE
        flags |= {"service-account-private-key-file": self._certificates.accounts_key()}
        flags |= {"cluster-cidr": self._cluster.pod_cidr, "health-port": self._port("controllers/health")}
        imports = ["minik8s.control.controllers"]
        return _task("controllers", "controllers", flags, stage=_STAGE_CLIENT, imports=imports)

    def _scheduler(self) -> Task:
        flags = self._client(self._certificates.user("scheduler")) | _LEASE
        flags |= {"health-port": self._port("scheduler/health")}
        return _task("scheduler", "scheduler", flags, stage=_STAGE_CLIENT, imports=["minik8s.control.scheduler"])

    def _proxy(self) -> Task:
        flags = self._client(self._certificates.user("proxy")) | {"health-port": self._port("proxy/health")}
        return _task("proxy", "proxy", flags, stage=_STAGE_CLIENT, imports=["minik8s.node.proxy"])

    def _client(self, identity: Identity) -> Flags:
        """Flags of whatever speaks to the API servers' gRPC face; gRPC itself chooses among them."""
        servers = [f"127.0.0.1:{self._port(f'{name}/grpc')}" for name in self._cluster.apiserver_names]
        return {
            "server": ",".join(servers),
            "certificate-authority": identity.ca_file,
            "client-certificate": identity.cert_file,
            "client-key": identity.key_file,
        }

    def _runtime_endpoint(self, node: str) -> str:
        return f"unix://{self._directory}/run/runtime-{node}.sock"

    def _port(self, listener: str) -> int:
        return self._cluster.ports[listener]


def _task(name: str, command: str, flags: Flags, *, stage: int, imports: list[str] | None = None) -> Task:
    """`flags` in order; None stands for a flag without a value."""
    args: list[str] = []
    for flag, value in flags.items():
        args += [f"--{flag}"] if value is None else [f"--{flag}", str(value)]
    return Task(name=name, module=f"minik8s.cli.{command}", args=args, imports=imports or [], stage=stage)
