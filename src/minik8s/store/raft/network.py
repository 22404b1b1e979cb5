"""What a member needs from whatever carries its messages: sockets (transport.py), or the simulator's links."""

from typing import Protocol

from minik8s.store.raft.messages import Message


class Receiver(Protocol):
    """The node, as its network sees it."""

    def on_connected(self, peer: str) -> None:
        """Messages may be sent to `peer`."""

    def on_disconnected(self, peer: str) -> None:
        """They may not, and some sent last may be lost."""

    def on_message(self, peer: str, message: Message) -> None:
        """From `peer`, who has proved to be it."""


class Network(Protocol):
    """Links to all peers, kept up while it runs."""

    async def run(self, receiver: Receiver) -> None:
        """Listen, dial, deliver, until cancelled. Raises StartError."""

    def send(self, peer: str, message: Message) -> None:
        """Best effort: dropped where there is no link."""

    def is_writable(self, peer: str) -> bool:
        """Whether the link takes more now; it is polled at each heartbeat and each answer."""
