"""Making a cluster's record, or adapting the one it has: the part of `up` that chooses ports and networks."""

import fcntl
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from minik8s.cli.addresses import NoneFreeError, free_network, free_port
from minik8s.cli.cluster import Cluster, ClusterError, ExternalStore, check, load, names, save
from minik8s.kit import ids

_DEFAULT = {"stores": 3, "apiservers": 2, "nodes": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asked for; None where the flag was not given."""

    name: str
    stores: int | None = None
    apiservers: int | None = None
    nodes: int | None = None
    store: ExternalStore | None = None
    kubeconfig: str = ""


def settle(directory: Path, wanted: Wanted, rng: random.Random | None = None) -> Cluster:
    """The cluster in `directory` as wanted, its record written. Raises ClusterError, OSError."""
    data_directory = directory.parent
    previous = load(directory)
    size = {key: _first(getattr(wanted, key), getattr(previous, key, None), _DEFAULT[key]) for key in _DEFAULT}
    check(wanted.name, directory, **size)
    _check_kept(previous, wanted)
    data_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)
    with _locked(data_directory):
        neighbours = [_load(data_directory / name) for name in names(data_directory) if name != wanted.name]
        cluster = _with_addresses(previous, wanted, size, neighbours, rng or ids.system_random())
        if cluster != previous:
            save(cluster, directory)
    return cluster


def _with_addresses(
    previous: Cluster | None, wanted: Wanted, size: dict[str, int], neighbours: list[Cluster], rng: random.Random
) -> Cluster:
    try:
        if previous is None:
            network = free_network({cluster.network for cluster in neighbours}, rng)
            cluster = _new(wanted, size, network)
        else:
            cluster = msgspec.structs.replace(previous, **size, store=wanted.store or previous.store)
        taken = {port for neighbour in neighbours for port in neighbour.ports.values()}
        ports = dict(cluster.ports)
        for listener in cluster.listeners():
            if listener not in ports:
                ports[listener] = free_port(taken | set(ports.values()), rng)
    except NoneFreeError as error:
        raise ClusterError(str(error)) from error
    kubeconfig = wanted.kubeconfig or (previous.kubeconfig if previous else "")
    return msgspec.structs.replace(cluster, ports=ports, kubeconfig=kubeconfig)


def _new(wanted: Wanted, size: dict[str, int], network: int) -> Cluster:
    stores, apiservers, nodes = size["stores"], size["apiservers"], size["nodes"]
    return Cluster(
        name=wanted.name,
        stores=stores,
        apiservers=apiservers,
        nodes=nodes,
        network=network,
        ports={},
        store=wanted.store,
    )


def _check_kept(previous: Cluster | None, wanted: Wanted) -> None:
    """What cannot change while the data is kept."""
    if previous is None:
        return
    again = f"minik8s down --name {wanted.name} --delete, then up again, makes a new one"
    if wanted.stores not in (None, previous.stores):
        raise ClusterError(f"cluster {wanted.name} has {previous.stores} stores, not {wanted.stores}: {again}")
    if (previous.store is None) != (wanted.store is None) and wanted.store is not None:
        raise ClusterError(f"cluster {wanted.name} has a store of its own, not --store-endpoints: {again}")


def _load(directory: Path) -> Cluster:
    cluster = load(directory)
    assert cluster is not None, "names() lists only what has a record"
    return cluster


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One `up` at a time chooses addresses."""
    fd = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
