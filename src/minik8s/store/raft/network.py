"""What a member needs from whatever carries its messages: sockets (transport.py), or the simulator's links."""

from collections.abc import Mapping
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

    def is_blank(self) -> bool:
        """Whether this member has no term, vote or entry."""

    def has_run(self, peer: str) -> bool:
        """Whether `peer` has been part of the cluster, and so cannot be blank."""

    def on_data_lost(self, peer: str) -> None:
        """We are blank, and `peer` says that we have been part of the cluster."""


class Network(Protocol):
    """Links to all peers, kept up while it runs."""

    async def run(self, receiver: Receiver) -> None:
        """Listen, dial, deliver, until cancelled. Raises StartError."""

    def set_peers(self, peers: Mapping[str, tuple[str, int]]) -> None:
        """The members to keep links to, and their addresses, have changed; it may be called at any time."""

    def send(self, peer: str, message: Message) -> None:
        """Best effort: dropped where there is no link."""

    def is_writable(self, peer: str) -> bool:
        """Whether the link takes more now; it is polled at each heartbeat and each answer."""
