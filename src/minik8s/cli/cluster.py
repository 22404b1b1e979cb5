"""A cluster as a value: its name, size, addresses and directories, kept as cluster.json in its directory.

Pure but for `load`, `save` and `names`; what it implies for each component stands in components.py.
"""

import os
import re
from pathlib import Path

import msgspec

from minik8s.kit.tls import write_private

RECORD = "cluster.json"
STORES_MAX, APISERVERS_MAX, NODES_MAX = 7, 9, 250
# A unix socket's path has room for 107 bytes; the longest of ours is this much below the cluster's directory.
_DIRECTORY_BYTES_MAX = 107 - len("/run/runtime-node-249.sock")


class ClusterError(Exception):
    """A cluster cannot be made or read as asked; the message says what to do."""


class ExternalStore(msgspec.Struct, frozen=True, kw_only=True):
    """A given etcd in place of our store."""

    endpoints: list[str]
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One named cluster. `ports` maps what listens (`store-0/client`) to where; `network` is the N of addresses.py."""

    name: str
    stores: int
    apiservers: int
    nodes: int
    network: int
    ports: dict[str, int]
    store: ExternalStore | None = None
    kubeconfig: str = ""  # a file of its own; empty: the user's

    @property
    def store_names(self) -> list[str]:
        return [] if self.store else [f"store-{i}" for i in range(self.stores)]

    @property
    def apiserver_names(self) -> list[str]:
        return [f"apiserver-{i}" for i in range(self.apiservers)]

    @property
    def node_names(self) -> list[str]:
        return [f"node-{i}" for i in range(self.nodes)]

    @property
    def context(self) -> str:
        """The kubeconfig's context, cluster and user."""
        return f"minik8s-{self.name}"

    @property
    def api_url(self) -> str:
        """Where kubectl goes: the load balancer, or the only API server."""
        listener = "loadbalancer" if self.apiservers > 1 else "apiserver-0/rest"
        return f"https://127.0.0.1:{self.ports[listener]}"

    @property
    def store_urls(self) -> list[str]:
        """Client URLs of every member of the store."""
        if self.store:
            return self.store.endpoints
        return [f"https://127.0.0.1:{self.ports[f'{name}/client']}" for name in self.store_names]

    @property
    def pod_cidr(self) -> str:
        return f"127.{self.network}.0.0/16"

    @property
    def service_cidr(self) -> str:
        return f"127.{self.network + 1}.0.0/16"

    def node_ip(self, node: str) -> str:
        """A node's own address, from the end of the pods' network, which its first 250 slices of /24 leave alone."""
        return f"127.{self.network}.255.{int(node.removeprefix('node-')) + 1}"

    def listeners(self) -> list[str]:
        """Everything that needs a port, by name."""
        names = [f"{name}/{kind}" for name in self.store_names for kind in ("client", "peer", "health")]
        names += [f"{name}/{kind}" for name in self.apiserver_names for kind in ("rest", "grpc")]
        names += [f"{kind}-{node}/health" for node in self.node_names for kind in ("kubelet", "runtime")]
        names += [f"{name}/health" for name in ("scheduler", "controllers", "proxy")]
        return [*names, "loadbalancer", "loadbalancer/health"]


def default_data_directory() -> Path:
    """$XDG_DATA_HOME/minik8s, or ~/.local/share/minik8s. Raises ClusterError when there is no home."""
    if given := os.environ.get("XDG_DATA_HOME"):
        return Path(given) / "minik8s"
    try:
        return Path.home() / ".local/share/minik8s"
    except RuntimeError as error:
        raise ClusterError("there is no home directory: give --data-dir") from error


def check(name: str, directory: Path, *, stores: int, apiservers: int, nodes: int) -> None:
    """Raises ClusterError for what no cluster can be."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise ClusterError(f"cluster name {name!r}: use up to 40 lower-case letters, digits and inner hyphens")
    if len(os.fsencode(directory)) > _DIRECTORY_BYTES_MAX:
        why = f"unix sockets below it would exceed their limit by {len(os.fsencode(directory)) - _DIRECTORY_BYTES_MAX}"
        raise ClusterError(f"{directory}: the path is too long ({why} bytes): give a shorter --data-dir")
    for flag, value, most in (("stores", stores, STORES_MAX), ("apiservers", apiservers, APISERVERS_MAX)):
        if not 1 <= value <= most:
            raise ClusterError(f"--{flag} {value}: from 1 to {most}")
    if not 0 <= nodes <= NODES_MAX:
        raise ClusterError(f"--nodes {nodes}: from 0 to {NODES_MAX}")


def load(directory: Path) -> Cluster | None:
    """The record in a cluster's directory; None when there is no cluster. Raises ClusterError if it is damaged."""
    try:
        return msgspec.json.decode((directory / RECORD).read_bytes(), type=Cluster)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ClusterError(f"{directory / RECORD}: {error}") from error


def save(cluster: Cluster, directory: Path) -> None:
    """Write the record. Raises OSError."""
    write_private(directory / RECORD, msgspec.json.format(msgspec.json.encode(cluster), indent=2) + b"\n")


def names(data_directory: Path) -> list[str]:
    """Names of the clusters that have data."""
    return sorted(path.parent.name for path in data_directory.glob(f"*/{RECORD}"))
