"""A cluster of real `minik8s store` processes with TLS, which tests may kill and start again."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import grpc

from minik8s.kit.tls import Authority, Identity
from minik8s.wire.etcd import rpc_pb2 as rpc
from store.serving import free_port

_MINIK8S = "from minik8s.cli.main import main; main()"


class Replicas:
    """`directory` keeps certificates, data and one log file per member. Use as an asynchronous context."""

    def __init__(self, directory: Path, count: int = 3) -> None:
        self.directory = directory
        self.names = [f"s{index}" for index in range(count)]
        self.address = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self._peer_url = {name: f"https://127.0.0.1:{free_port()}" for name in self.names}
        self._authority = Authority(directory / "pki")
        self._peer_authority = Authority(directory / "peer-pki")
        self._identities = {name: self._identity(name) for name in self.names}
        self.client_identity: Identity = self._authority.issue("client", user="client")
        self._joining: set[str] = set()
        self._processes: dict[str, Process] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> "Replicas":
        for name in self.names:
            await self.start(name)
        return self

    async def __aexit__(self, *error: object) -> None:
        for channel in self._channels.values():
            await channel.close()
        for name in list(self._processes):
            await self.end(name)

    def prepare(self, name: str) -> str:
        """Get ready for a member that is to join; its peer URL."""
        self.names.append(name)
        self._channels.pop(name, None)  # of one that had the name before
        self.address[name] = f"127.0.0.1:{free_port()}"
        self._peer_url[name] = f"https://127.0.0.1:{free_port()}"
        self._identities[name] = self._identity(name)
        self._joining.add(name)
        return self._peer_url[name]

    def _identity(self, name: str) -> tuple[Identity, Identity]:
        """What a member shows to clients, and to members: of two authorities that do not know each other."""
        hosts = ["127.0.0.1", "localhost"]
        client, peer = self._authority, self._peer_authority
        return client.issue(name, user=name, hosts=hosts), peer.issue(name, user=name, hosts=hosts)

    def peer_address(self, name: str) -> tuple[str, int]:
        """Where a member is reached by the others."""
        host, _, port = self._peer_url[name].removeprefix("https://").partition(":")
        return host, int(port)

    async def start(self, name: str) -> None:
        """Start a member, with the data it has."""
        (identity, peer_identity), url = self._identities[name], f"https://{self.address[name]}"
        flags = {
            "name": name,
            "data-dir": self.directory / name,
            "listen-client-urls": url,
            "listen-peer-urls": self._peer_url[name],
            "initial-cluster": ",".join(f"{peer}={url}" for peer, url in self._peer_url.items()),
            "initial-cluster-state": "existing" if name in self._joining else "new",
            "cert-file": identity.cert_file,
            "key-file": identity.key_file,
            "trusted-ca-file": identity.ca_file,
            "client-cert-auth": "true",
            "peer-cert-file": peer_identity.cert_file,
            "peer-key-file": peer_identity.key_file,
            "peer-trusted-ca-file": peer_identity.ca_file,
        }
        args = [f"--{flag}={value}" for flag, value in flags.items()]
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from minik8s.cli.main import main; main()",
                "store",
                *args,
                stdout=log,
                stderr=log,
            )

    async def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal a member and wait for its end; its exit code."""
        process = self._processes.pop(name)
        if process.returncode is None:
            process.send_signal(number)
        return await process.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal a member that goes on, or is to."""
        self._processes[name].send_signal(number)

    def pid(self, name: str) -> int:
        """The process of a member that runs."""
        return self._processes[name].pid

    def is_running(self, name: str) -> bool:
        """Whether its process was started and has not ended."""
        return name in self._processes and self._processes[name].returncode is None

    def channel(self, name: str) -> grpc.aio.Channel:
        """One channel per member, which reconnects soon after its member is back."""
        if name not in self._channels:
            certificate, key, authority = self.client_identity.read()
            options = [
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 300),
                ("grpc.use_local_subchannel_pool", 1),
            ]
            credentials = grpc.ssl_channel_credentials(authority, key, certificate)
            self._channels[name] = grpc.aio.secure_channel(self.address[name], credentials, options)
        return self._channels[name]

    async def call(self, name: str, method: str, request: Any, kind: Any, timeout_s: float = 10) -> Any:
        """One call to one member. Raises grpc.aio.AioRpcError."""
        call = self.channel(name).unary_unary(
            f"/etcdserverpb.{method}", lambda m: m.SerializeToString(), kind.FromString
        )
        return await call(request, timeout=timeout_s)

    async def status(self, name: str) -> Any:
        """The member's Status, None if it does not answer."""
        try:
            return await self.call(name, "Maintenance/Status", rpc.StatusRequest(), rpc.StatusResponse, 2)
        except grpc.aio.AioRpcError:
            return None

    async def leader(self, timeout_s: float = 20) -> str:
        """The name of the member that says it leads, once one does."""
        async with asyncio.timeout(timeout_s):
            while True:
                for name in self.names:
                    status = await self.status(name)
                    if status and status.leader == status.header.member_id:
                        return name
                await asyncio.sleep(0.02)

    async def settled(self, timeout_s: float = 20) -> None:
        """Wait until all members answer, with one leader and one revision."""
        async with asyncio.timeout(timeout_s):
            while True:
                found = [await self.status(name) for name in self.names]
                seen = {(status.leader, status.header.revision) for status in found if status}
                if all(found) and len(seen) == 1 and found[0].leader:
                    return
                await asyncio.sleep(0.05)

    @property
    def etcdctl_endpoints(self) -> str:
        """For `etcdctl --endpoints`: all members, with the flags for TLS after them."""
        identity = self.client_identity
        flags = f"--cacert {identity.ca_file} --cert {identity.cert_file} --key {identity.key_file}"
        return f"{','.join(self.address.values())} {flags}"
