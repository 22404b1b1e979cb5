"""A cluster's certificates: two authorities, one for Kubernetes and one for the store, and what they issue; and the key
that signs ServiceAccounts' tokens.

The store has its own authority, as with kubeadm: a certificate that opens the API must not open the store.
"""

import ipaddress
from pathlib import Path

from minik8s.cli.cluster import Cluster
from minik8s.kit import jws
from minik8s.kit.tls import Authority, Identity, write_private

FRONT_PROXY = "front-proxy-client"
"""Whom servers of APIServices believe who calls."""
_LOOPBACK = ("127.0.0.1", "localhost")
_USERS = {
    # File: the user its certificate names (docs: shared conventions; the apiserver's authorization table knows them).
    "scheduler": "system:kube-scheduler",
    "controllers": "system:kube-controller-manager",
    "proxy": "system:kube-proxy",
}


class Certificates:
    """Issues on first use into `directory`, and finds there afterwards what it issued. Raises OSError."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._kubernetes = Authority(directory, "ca")
        self._etcd = Authority(directory, "etcd-ca") if cluster.store is None else None

    def issue_all(self) -> None:
        """Make everything that is missing."""
        self.accounts_key(), self.admin(), self.apiserver(), self.kubelet_client(), self.store_client()
        self.front_proxy()
        for name in self._cluster.store_names:
            self.store(name)
        for name in _USERS:
            self.user(name)
        for name in self._cluster.node_names:
            self.node(name)

    def admin(self) -> Identity:
        """kubectl's."""
        return self._kubernetes.issue("admin", user="kubernetes-admin", groups=["system:masters"])

    def apiserver(self) -> Identity:
        """What API servers show: one for all, as clients reach them by the same names."""
        first_service = str(ipaddress.ip_network(self._cluster.service_cidr)[1])
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        return self._kubernetes.issue("apiserver", user="kube-apiserver", hosts=[*_LOOPBACK, first_service, *names])

    def kubelet_client(self) -> Identity:
        """What API servers show to kubelets."""
        user, groups = "kube-apiserver-kubelet-client", ["system:masters"]
        return self._kubernetes.issue("apiserver-kubelet-client", user=user, groups=groups)

    def front_proxy(self) -> Identity:
        """What API servers show to servers of APIServices, and the authority of such certificates: one of its own."""
        return Authority(self._directory, "front-proxy-ca").issue("front-proxy-client", user=FRONT_PROXY)

    def accounts_key(self) -> Path:
        """The key that signs ServiceAccounts' tokens, as kubeadm calls it. All API servers and controllers share it."""
        file = self._directory / "sa.key"
        if not file.exists():
            write_private(file, jws.generate())
        return file

    def store_client(self) -> Identity | None:
        """What API servers show to the store; None for a given etcd without TLS."""
        if self._etcd:
            return self._etcd.issue("apiserver-etcd-client", user="kube-apiserver-etcd-client")
        given = self._cluster.store
        if given and given.ca_file:
            return Identity(Path(given.cert_file), Path(given.key_file), Path(given.ca_file))
        return None

    def store(self, name: str) -> Identity:
        """A member's, towards clients and peers; peers check that its name is the member's."""
        assert self._etcd is not None, "a given etcd has its own certificates"
        return self._etcd.issue(name, user=name, hosts=_LOOPBACK)

    def user(self, name: str) -> Identity:
        """The client certificate of the scheduler, the controllers or the proxy."""
        return self._kubernetes.issue(name, user=_USERS[name])

    def node(self, name: str) -> Identity:
        """A kubelet's, as client and as server."""
        hosts = [name, self._cluster.node_ip(name), *_LOOPBACK]
        return self._kubernetes.issue(name, user=f"system:node:{name}", groups=["system:nodes"], hosts=hosts)
