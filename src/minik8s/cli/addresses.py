"""Ports and loopback networks for a cluster: chosen once, kept in its record, different from its neighbours'."""

import contextlib
import random
import socket
from collections.abc import Collection, Iterator

from minik8s.cli.supervisor import claim

# Below Linux's ephemeral ports (32768…) and Kubernetes' node ports (30000…): nobody else takes one by chance.
PORTS = range(20000, 30000)
# Each cluster gets two neighbouring networks of 127/8: 127.N.0.0/16 for pods, 127.N+1.0.0/16 for services.
# 127.0 is everybody's, 127.1 is Debian's own name's (127.0.1.1 by habit of some tools).
NETWORKS = range(2, 254, 2)


class NoneFreeError(Exception):
    """Every address of a kind is taken."""


def free_port(taken: Collection[int], rng: random.Random) -> int:
    """A port nobody listens on and no other cluster has been promised. Raises NoneFreeError."""
    for port in _shuffled(PORTS, rng):
        if port not in taken and _is_free(port):
            return port
    raise NoneFreeError(f"no free port in {PORTS.start}-{PORTS.stop - 1}")


def free_network(taken: Collection[int], rng: random.Random) -> int:
    """The N of two networks that no recorded and no running cluster has. Raises NoneFreeError."""
    for network in _shuffled(NETWORKS, rng):
        if network in taken:
            continue
        with contextlib.suppress(OSError), claim(claim_name(network)):
            return network
    raise NoneFreeError(f"all {len(NETWORKS)} pairs of networks in 127/8 are taken: delete a cluster")


def claim_name(network: int) -> str:
    """What a running cluster holds (supervisor.claim), so that others keep off its addresses."""
    return f"127.{network}.0.0/15"


def _shuffled(numbers: range, rng: random.Random) -> Iterator[int]:
    yield from rng.sample(numbers, len(numbers))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
