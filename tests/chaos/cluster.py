"""Three replicas as real processes, of our store or of Debian's etcd, which a harness may kill, stop and start again.

Both take the same flags, so both are the same class; with `proxies` the replicas reach each other only through links
that the harness can cut.
"""

import asyncio
import shutil
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import grpc
from store.serving import free_port

from minik8s.kit.tls import Authority
from minik8s.wire.etcd import rpc_pb2 as rpc

_MINIK8S = (sys.executable, "-c", "from minik8s.cli.main import main; main()", "store")
_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
    ("grpc.use_local_subchannel_pool", 1),
]


def has_etcd() -> bool:
    """Whether Debian's etcd-server is installed."""
    return shutil.which("etcd") is not None


class Cluster:
    """`directory` keeps certificates, data and one log file per replica. Use as an asynchronous context."""

    def __init__(
        self,
        directory: Path,
        *,
        kind: str = "minik8s",
        with_tls: bool = False,
        size: int = 3,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.kind = kind
        self.names = [f"s{index}" for index in range(size)]
        self.address = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self.peer_address = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self.advertised_peer_address = dict(self.peer_address)  # a proxy may stand here
        self.processes: dict[str, Process] = {}
        self._flags = flags
        self._scheme = "https" if with_tls else "http"
        self._channels: dict[str, grpc.aio.Channel] = {}
        if with_tls:
            authority = Authority(directory / "pki")
            hosts = ["127.0.0.1", "localhost"]
            self._identities = {name: authority.issue(name, user=name, hosts=hosts) for name in self.names}
            self._client = authority.issue("client", user="client")

    async def __aenter__(self) -> "Cluster":
        await asyncio.gather(*(self.start(name) for name in self.names))
        return self

    async def __aexit__(self, *error: object) -> None:
        for channel in self._channels.values():
            await channel.close()
        for name in list(self.processes):
            await self.end(name)

    async def start(self, name: str) -> None:
        """Start a replica, with the data it has."""
        client, peer = f"{self._scheme}://{self.address[name]}", f"{self._scheme}://{self.peer_address[name]}"
        advertised = {name: f"{self._scheme}://{address}" for name, address in self.advertised_peer_address.items()}
        flags = {
            "name": name,
            "data-dir": self.directory / name,
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": advertised[name],
            "initial-cluster": ",".join(f"{one}={url}" for one, url in advertised.items()),
            "log-level": "warn" if self.kind == "etcd" else "info",
        }
        if self._scheme == "https":
            identity = self._identities[name]
            for prefix in ("", "peer-"):
                flags[f"{prefix}cert-file"] = identity.cert_file
                flags[f"{prefix}key-file"] = identity.key_file
                flags[f"{prefix}trusted-ca-file"] = identity.ca_file
            flags["client-cert-auth"] = "true"
        command = ("etcd",) if self.kind == "etcd" else _MINIK8S
        args = [f"--{flag}={value}" for flag, value in flags.items()]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *command, *args, *self._flags, stdout=log, stderr=log
            )

    async def end(self, name: str) -> None:
        """kill -9, and wait for the end."""
        process = self.processes.pop(name)
        if process.returncode is None:
            process.kill()
        await process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT to a replica that runs."""
        if self.is_running(name):
            self.processes[name].send_signal(number)

    def is_running(self, name: str) -> bool:
        """Whether its process was started and has not ended."""
        return name in self.processes and self.processes[name].returncode is None

    def channel(self, name: str) -> grpc.aio.Channel:
        """One channel per replica, which reconnects soon after its replica is back."""
        if name not in self._channels:
            self._channels[name] = self.new_channel(name)
        return self._channels[name]

    def new_channel(self, name: str) -> grpc.aio.Channel:
        """A channel of the caller's own."""
        if self._scheme == "http":
            return grpc.aio.insecure_channel(self.address[name], _RECONNECT)
        certificate, key, authority = self._client.read()
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return grpc.aio.secure_channel(self.address[name], credentials, _RECONNECT)

    async def call(self, name: str, method: str, request: Any, kind: Any, timeout_s: float = 10) -> Any:
        """One call to one replica. Raises grpc.aio.AioRpcError."""
        call = self.channel(name).unary_unary(
            f"/etcdserverpb.{method}", lambda m: m.SerializeToString(), kind.FromString
        )
        return await call(request, timeout=timeout_s)

    async def status(self, name: str, timeout_s: float = 1) -> Any:
        """The replica's Status, None if it does not answer."""
        try:
            return await self.call(name, "Maintenance/Status", rpc.StatusRequest(), rpc.StatusResponse, timeout_s)
        except grpc.aio.AioRpcError:
            return None

    async def find_leader(self) -> str | None:
        """Who leads in the latest term that any replica knows, if it is one that answers."""
        found = await asyncio.gather(*(self.status(name, 0.5) for name in self.names))
        answers = {name: status for name, status in zip(self.names, found, strict=True) if status}
        leaders = [
            (status.raftTerm, name)
            for name, status in answers.items()
            if status.leader and status.leader == status.header.member_id
        ]
        return max(leaders)[1] if leaders else None

    async def leader(self, timeout_s: float = 30) -> str:
        """As `find_leader`, once there is one."""
        async with asyncio.timeout(timeout_s):
            while not (leader := await self.find_leader()):
                await asyncio.sleep(0.02)
            return leader

    async def settled(self, timeout_s: float = 30) -> None:
        """Wait until all replicas answer, with one leader and one revision. Raises RuntimeError if one has ended."""
        async with asyncio.timeout(timeout_s):
            while True:
                if ended := [name for name in self.names if not self.is_running(name)]:
                    log = (self.directory / f"{ended[0]}.log").read_text().strip()
                    raise RuntimeError(f"{ended[0]} has ended: {log[-500:]}")
                found = [await self.status(name) for name in self.names]
                seen = {(status.leader, status.header.revision) for status in found if status}
                if all(found) and len(seen) == 1 and found[0].leader:
                    return
                await asyncio.sleep(0.02)
