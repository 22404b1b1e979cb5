"""What may be said before the disk has it, and what must wait: the durability gate.

A vote, a request for one and an acknowledgement promise that something will survive a crash, so they wait for the write
that covers it. AppendEntries may leave at once, as a leader promises nothing by it; nor do questions.
"""

from collections import deque
from collections.abc import Callable

from minik8s.store.raft.journal import Journal
from minik8s.store.raft.messages import Ack, Message, RequestVote, Vote

# Acks for what a leader may have under way, many times over; one that is dropped is made good by the next heartbeat's.
_HELD_MAX = 8192


class Gate:
    """Stands between the core and the network."""

    def __init__(self, journal: Journal, send: Callable[[str, Message], None]) -> None:
        self._journal = journal
        self._send = send
        self._held: deque[tuple[int, str, Message]] = deque()

    def send(self, peer: str, message: Message) -> None:
        """Send now, or when all that was recorded until now is durable."""
        is_promise = isinstance(message, Ack | Vote | RequestVote)
        if not is_promise or (not self._held and self._journal.durable_sequence >= self._journal.sequence):
            self._send(peer, message)
        elif len(self._held) < _HELD_MAX:
            self._held.append((self._journal.sequence, peer, message))

    def release(self) -> None:
        """A write finished: send what waited for it."""
        while self._held and self._held[0][0] <= self._journal.durable_sequence:
            _, peer, message = self._held.popleft()
            self._send(peer, message)
