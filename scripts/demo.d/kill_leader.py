"""Kill the leader of a cluster's store with SIGKILL, and measure until writes go on.

    scripts/kill-leader [--name NAME] [--data-dir DIR] [--times N]

Prints for each kill: the member, the term before and after, and the time until a write was acknowledged again.
The supervisor restarts the member; the next kill waits until it has caught up, so that a majority is always there.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from minik8s.cli import members
from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import Cluster, ClusterError, default_data_directory, load
from minik8s.cli.supervisor import read_state
from minik8s.kit.tls import Identity
from minik8s.wire.etcd import rpc_pb2

PROBE_KEY = b"/minik8s/kill-leader"
SETTLE_S = 20.0  # how long a killed member may take to be back and caught up
BEHIND_MAX = 2000  # raft entries: under load members are never equal


class KillError(Exception):
    """There is nothing to kill, or the store did not come back."""


@dataclass(frozen=True, slots=True)
class Kill:
    """What one kill cost."""

    member: str
    pid: int
    term_before: int
    term_after: int
    writes_after_s: float

    def __str__(self) -> str:
        return (
            f"killed {self.member} (pid {self.pid}), leader of term {self.term_before}; "
            f"writes went on after {self.writes_after_s:.2f} s in term {self.term_after}"
        )


class Store:
    """A running cluster's store: who leads, and whether it takes writes."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        if cluster.store is not None:
            raise KillError(f"cluster {cluster.name} uses a given store: its members are not ours to kill")
        self.cluster, self.directory = cluster, directory
        self.identity: Identity | None = Certificates(cluster, directory / "pki").store_client()
        self.urls = dict(zip(cluster.store_names, cluster.store_urls, strict=True))

    def status(self) -> dict[str, members.Member]:
        return {name: members.ask(url, self.identity, timeout_s=1.0) for name, url in self.urls.items()}

    def settled(self) -> str:
        """The leader's name, once every member answers, agrees on it and has nearly caught up."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            found = self.status()
            leaders = [name for name, member in found.items() if member.is_leader]
            agreed = len({member.leader for member in found.values()}) == 1
            behind = max(m.index for m in found.values()) - min(m.index for m in found.values())
            if len(leaders) == 1 and agreed and not any(m.error for m in found.values()) and behind < BEHIND_MAX:
                return leaders[0]
            if time.monotonic() > deadline:
                raise KillError(f"the store has not settled within {SETTLE_S:g} s: {found}")
            time.sleep(0.05)

    def kill_leader(self) -> Kill:
        """Kill it, then write through the others until one acknowledges."""
        leader = self.settled()
        state = read_state(self.directory)
        task = next((task for task in state.tasks if task.name == leader), None) if state else None
        if task is None or task.process is None:
            raise KillError(f"{leader} has no process: is the cluster running?")
        before = members.ask(self.urls[leader], self.identity).term
        others = [url for name, url in self.urls.items() if name != leader] or [self.urls[leader]]
        channels = [members.channel(url, self.identity) for url in others]
        try:
            for channel in channels:
                grpc.channel_ready_future(channel).result(timeout=5)
            started = time.monotonic()
            task.process.kill(signal.SIGKILL)
            _until_acknowledged(channels, leader)
            writes_after_s = time.monotonic() - started
        finally:
            for channel in channels:
                channel.close()
        after = max(member.term for member in self.status().values())
        return Kill(leader, task.process.pid, before, after, writes_after_s)


def _until_acknowledged(channels: list[grpc.Channel], leader: str) -> None:
    """Begin a write every 20 ms, each through the next member, until one is acknowledged: none waits for another."""
    calls = [
        channel.unary_unary(
            "/etcdserverpb.KV/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )
        for channel in channels
    ]
    pending: list[grpc.Future] = []
    deadline = time.monotonic() + SETTLE_S
    while not any(write.done() and write.exception() is None for write in pending):
        if time.monotonic() > deadline:
            raise KillError(f"no write was acknowledged within {SETTLE_S:g} s of killing {leader}")
        call = calls[len(pending) % len(calls)]
        pending.append(call.future(rpc_pb2.PutRequest(key=PROBE_KEY, value=b"1"), timeout=SETTLE_S))
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="default", help="the cluster")
    parser.add_argument("--data-dir", type=Path, help="where clusters live")
    parser.add_argument("--times", type=int, default=1, help="how many leaders in a row")
    options = parser.parse_args()
    try:
        directory = (options.data_dir or default_data_directory()).absolute() / options.name
        cluster = load(directory)
        if cluster is None or read_state(directory) is None:
            raise KillError(f"cluster {options.name} is not running: minik8s up")
        store = Store(cluster, directory)
        for _ in range(options.times):
            print(store.kill_leader(), flush=True)
    except (KillError, ClusterError, OSError) as error:
        print(f"kill-leader: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
