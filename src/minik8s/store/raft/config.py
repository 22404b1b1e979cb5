"""Every knob of one Raft member, with its unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minik8s.kit import tls


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """One member of a cluster whose members are fixed at start."""

    name: str
    data_dir: Path
    peers: Mapping[str, tuple[str, int]]
    """Member name → peer address (host, port), this member included; the same on every member."""
    listen: tuple[str, int]
    identity: tls.Identity | None = None
    """This member's peer certificate, whose CN is `name`, and the peer authority; None speaks plain TCP."""
    cluster_token: str = ""
    """Members with another token are refused, so that two clusters cannot mix by a wrong address."""

    heartbeat_s: float = 0.1
    election_timeout_s: float = 1.0
    """A leader not heard from for this long (to twice this long, at random) is taken for dead."""
    propose_timeout_s: float = 7.0
    """As etcd: 5 s of disk and network plus two election timeouts."""
    read_timeout_s: float = 7.0
    read_retry_s: float = 0.5

    max_command_bytes: int = 2 << 20
    max_batch_bytes: int = 1 << 20
    """Commands of one log entry, and entries of one message, stop growing here; a single command may be larger."""
    max_pending_commands: int = 20_000
    max_pending_bytes: int = 64 << 20
    """Commands accepted and not yet applied; beyond, a proposal is refused with TooManyProposals."""
    batches_in_flight: int = 2
    linger_above: int = 16
    """With this many commands in flight a batch waits up to linger_max_s to grow; below, it leaves at once."""
    linger_max_s: float = 0.003
    apply_slice_s: float = 0.02
    """Applying a long log pauses this often, so that heartbeats are not starved."""

    segment_bytes: int = 64 << 20
    dial_retry_s: float = 0.05
    dial_retry_max_s: float = 0.3
    hello_timeout_s: float = 5.0
    max_strangers: int = 32
    """Connections that have not said who they are; beyond, new ones are closed."""

    @property
    def members(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self.peers))

    @property
    def quorum(self) -> int:
        """How many members make a majority."""
        return len(self.peers) // 2 + 1

    @property
    def max_frame_bytes(self) -> int:
        """The largest frame a peer may send: a full batch that one large command overshot, and its envelope."""
        return self.max_batch_bytes + self.max_command_bytes + (64 << 10)
