"""Links between members: one TLS connection per pair, frames of msgpack with a size limit.

The member whose name sorts first dials, the other only after a while without a link: a member whose log is behind may
not know whom to dial, and takes whoever can prove to belong to the cluster. Both show a certificate of the peer
authority whose CN is the member's name, then say Hello; only then is a frame decoded as anything else. A frame's length
is checked before its bytes are kept. What a link cannot take is dropped with the link: Raft sends it again.
"""

import asyncio
import random
import ssl
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from minik8s.kit import tls
from minik8s.kit.backoff import Backoff
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.messages import Hello, Message, decode_message, encode
from minik8s.store.raft.network import Receiver

log = get_logger(__name__)

PROTOCOL_VERSION = 3
_LENGTH_BYTES = 4
_HELLO_BYTES_MAX = 1024
_TRIES_BEFORE_WARNING = 20


class SocketNetwork:
    """The network of one member."""

    def __init__(self, config: RaftConfig, rng: random.Random) -> None:
        self.config = config
        self._rng = rng
        self._peers = {name: address for name, address in config.peers.items() if name != config.name}
        self._removed: set[str] = set()
        self._dialling: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._client_context: ssl.SSLContext | None = None
        self._links: dict[str, Link] = {}
        self._strangers: set[Link] = set()
        self._receiver: Receiver | None = None

    async def run(self, receiver: Receiver) -> None:
        self._receiver = receiver
        # A cluster of one needs no network, until it grows.
        server_context, self._client_context = _contexts(self.config)
        loop = asyncio.get_running_loop()
        host, port = self.config.listen
        try:
            server = await loop.create_server(lambda: Link(self, None), host, port, ssl=server_context)
        except OSError as error:
            raise StartError(f"cannot listen for peers on {host}:{port}: {error.strerror}") from error
        try:
            async with asyncio.TaskGroup() as self._group:
                self._dial()
                await asyncio.Event().wait()
        finally:
            self._group = None
            server.close()
            for link in [*self._links.values(), *self._strangers]:
                link.abort()

    def set_peers(self, peers: Mapping[str, tuple[str, int]]) -> None:
        self._removed = (self._removed | (self._peers.keys() - peers.keys())) - peers.keys()
        moved = {name for name, address in self._peers.items() if peers.get(name) != address}
        self._peers = dict(peers)
        for name in sorted(moved):
            if task := self._dialling.pop(name, None):
                task.cancel()
            if link := self._links.get(name):
                link.abort()
        self._dial()

    def send(self, peer: str, message: Message) -> None:
        if link := self._links.get(peer):
            link.write(message)

    def is_writable(self, peer: str) -> bool:
        link = self._links.get(peer)
        return link is not None and not link.is_full

    def is_known(self, name: str) -> bool:
        return name in self._peers

    def is_removed(self, name: str) -> bool:
        return name in self._removed

    def _dial(self) -> None:
        if self._group is None:
            return
        for peer in self._peers:
            if peer not in self._dialling:
                self._dialling[peer] = self._group.create_task(self._keep_dialled(peer))

    async def _keep_dialled(self, peer: str) -> None:
        host, port = self._peers[peer]
        context = self._client_context
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._rng, self.config.dial_retry_s, self.config.dial_retry_max_s)
        while True:
            if self.config.name > peer:
                await asyncio.sleep(self.config.dial_reverse_s * (1 + self._rng.random()))
                if peer in self._links:
                    continue
            try:
                async with asyncio.timeout(self.config.hello_timeout_s):
                    _, link = await loop.create_connection(
                        lambda: Link(self, peer), host, port, ssl=context, server_hostname=peer if context else None
                    )
            except (OSError, TimeoutError) as error:
                if backoff.attempts == _TRIES_BEFORE_WARNING:
                    log.warning(
                        "cannot reach a peer, keeps trying", peer=peer, address=f"{host}:{port}", why=str(error)
                    )
            else:
                await link.closed.wait()
                if link.is_established:
                    backoff.reset()
            await asyncio.sleep(backoff.next_s())

    # From links.

    def met(self, link: "Link") -> bool:
        """A connection was made; False when too many have not said who they are."""
        self._strangers.add(link)
        return len(self._strangers) <= self.config.max_strangers

    def established(self, link: "Link", peer: str) -> None:
        self._strangers.discard(link)
        if old := self._links.pop(peer, None):
            # The peer dialled again: it knows better than we that the old connection is dead.
            old.abort()
            self._need_receiver().on_disconnected(peer)
        self._links[peer] = link
        self._need_receiver().on_connected(peer)

    def ended(self, link: "Link") -> None:
        self._strangers.discard(link)
        if link.peer and self._links.get(link.peer) is link:
            del self._links[link.peer]
            self._need_receiver().on_disconnected(link.peer)

    def hello(self, receiver: str) -> Hello:
        """What we say of ourselves."""
        node = self._need_receiver()
        return Hello(
            PROTOCOL_VERSION,
            self.config.cluster_token,
            self.config.name,
            receiver,
            is_blank=node.is_blank(),
            knows_you=node.has_run(receiver),
        )

    def are_members(self, hello: Hello) -> bool:
        """Whether neither side has lost its data: who forgot its vote may give a second one in the same term."""
        node = self._need_receiver()
        if hello.knows_you and node.is_blank():
            node.on_data_lost(hello.sender)
            return False
        if hello.is_blank and node.has_run(hello.sender):
            log.warning("refuses a member that has lost its data: remove it, and add it again", peer=hello.sender)
            return False
        return True

    def received(self, peer: str, message: Message) -> None:
        self._need_receiver().on_message(peer, message)

    def _need_receiver(self) -> Receiver:
        assert self._receiver
        return self._receiver


class Refusal(Exception):
    """The other side is not who it should be, or does not speak our language."""


class Link(asyncio.Protocol):
    """One connection, dialled to `expected` or accepted from whoever it proves to be."""

    def __init__(self, network: SocketNetwork, expected: str | None) -> None:
        self._network = network
        self._config = network.config
        self._expected = expected
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._hello_timer: asyncio.TimerHandle | None = None
        self.peer: str | None = None
        self.is_established = False
        self.is_full = False
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's have the methods but not the type
        if not self._network.met(self):
            self.abort()
            return
        self._hello_timer = asyncio.get_running_loop().call_later(self._config.hello_timeout_s, self.abort)
        if self._expected:
            self._say_hello(self._expected)

    def connection_lost(self, error: Exception | None) -> None:
        if self._hello_timer:
            self._hello_timer.cancel()
        self._network.ended(self)
        self.closed.set()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _LENGTH_BYTES:
                length = int.from_bytes(buffer[start : start + _LENGTH_BYTES], "little")
                if length > (self._config.max_frame_bytes if self.peer else _HELLO_BYTES_MAX):
                    raise Refusal(f"a frame of {length} bytes")
                end = start + _LENGTH_BYTES + length
                if len(buffer) < end:
                    break
                message = decode_message(memoryview(bytes(buffer[start + _LENGTH_BYTES : end])))
                start = end
                self._on_frame(message)
        except (Refusal, msgspec.MsgspecError) as error:
            log.warning("closes a peer connection", peer=self.peer or self._address(), why=str(error))
            self.abort()
            return
        if start:
            del buffer[:start]

    def write(self, message: Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = encode(message)
        self._transport.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
        if self._transport.get_write_buffer_size() > 4 * self._config.max_frame_bytes:
            log.warning("closes a peer connection", peer=self.peer, why="it takes nothing")
            self.abort()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _on_frame(self, message: Message) -> None:
        if self.peer is not None:
            if isinstance(message, Hello):
                raise Refusal("a second Hello")
            self._network.received(self.peer, message)
            return
        if not isinstance(message, Hello):
            raise Refusal("the first frame is not Hello")
        peer = self._check_hello(message)
        if self._hello_timer:
            self._hello_timer.cancel()
        self.peer = peer
        if not self._expected:
            self._say_hello(peer)
        if not self._network.are_members(message):
            assert self._transport
            self._transport.close()  # Not at once: the other side is to hear our Hello.
            return
        self.is_established = True
        self._network.established(self, peer)

    def _check_hello(self, hello: Hello) -> str:
        own = self._config.name
        if hello.version != PROTOCOL_VERSION:
            raise Refusal(f"protocol version {hello.version}, ours is {PROTOCOL_VERSION}")
        if hello.token != self._config.cluster_token:
            raise Refusal("it belongs to another cluster (cluster token)")
        if self._network.is_removed(hello.sender):
            raise Refusal(f"{hello.sender!r} was removed from the cluster")
        # Without certificates the name alone is no proof.
        is_admitted = self._config.identity is not None or self._network.is_known(hello.sender)
        if hello.receiver != own or hello.sender == own or not hello.sender or not is_admitted:
            raise Refusal(f"{hello.sender!r} calls {hello.receiver!r}, but this is {own!r}")
        if self._expected and hello.sender != self._expected:
            raise Refusal(f"{hello.sender!r} answers where {self._expected!r} was dialled")
        if self._config.identity and (name := self._certified_name()) != hello.sender:
            raise Refusal(f"{hello.sender!r} shows the certificate of {name!r}")
        return hello.sender

    def _certified_name(self) -> str | None:
        assert self._transport
        certificate: dict[str, Any] = self._transport.get_extra_info("peercert") or {}
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        return names[0] if len(names) == 1 else None

    def _say_hello(self, receiver: str) -> None:
        self.write(self._network.hello(receiver))

    def _address(self) -> str:
        return str(self._transport.get_extra_info("peername") if self._transport else None)


def _contexts(config: RaftConfig) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """TLS contexts to accept and to dial with; Nones speak plain TCP. Raises StartError."""
    identity = config.identity
    if identity is None:
        return None, None
    try:
        accepting, dialling = tls.server_context(identity, require_client=True), tls.client_context(identity)
    except OSError as error:
        files = f"{identity.cert_file}, {identity.key_file}, {identity.ca_file}"
        raise StartError(f"cannot use the peer certificate files ({files}): {error}") from error
    # Not the address but the member is certified: Link compares the CN with the member's name.
    dialling.check_hostname = False
    accepting.minimum_version = dialling.minimum_version = ssl.TLSVersion.TLSv1_3
    return accepting, dialling
