"""Every knob of one Raft member, with its unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minik8s.kit import tls
from minik8s.store.raft.roster import Configuration, Place


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """One member."""

    name: str
    data_dir: Path
    peers: Mapping[str, tuple[str, int]]
    """Member name → peer address (host, port), this member included; the same on every member. What the log says of
    members counts for more."""
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

    joins: bool = False
    """The cluster stands, and has this member added: it has no say until the log gives it one."""
    hand_over_s: float = 0.0
    """When it ends, a leader takes up to this long to hand over; 0 leaves it to an election."""

    segment_bytes: int = 64 << 20
    snapshot_entries: int = 30_000
    """A snapshot is taken each time the log has grown by so many; members take turns, spread over that distance."""
    snapshot_bytes: int = 256 << 20
    """The same for the commands of the log, should that come first."""
    snapshot_duty: float = 0.3
    """The share of time that taking a snapshot may keep the event loop busy."""
    keep_entries: int = 5_000
    """Left in the log before a snapshot, for followers that are not far behind."""
    install_chunk_bytes: int = 256 << 10
    install_chunks_ahead: int = 8
    install_bytes_per_s: int = 64 << 20
    """At most, of a snapshot on its way to another member."""
    install_retry_s: float = 1.0

    dial_retry_s: float = 0.05
    dial_retry_max_s: float = 0.3
    dial_reverse_s: float = 2.0
    """Without a link for this long, the member that should be dialled dials."""
    hello_timeout_s: float = 5.0
    max_strangers: int = 32
    """Connections that have not said who they are; beyond, new ones are closed."""

    @property
    def members(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self.peers))

    @property
    def bootstrap(self) -> Configuration:
        """Who the members are until the log says otherwise. One that joins counts itself out."""
        return Configuration(
            {name: Place(*self.peers[name], self.joins and name == self.name) for name in self.members}
        )

    @property
    def max_frame_bytes(self) -> int:
        """The largest frame a peer may send: a full batch that one large command overshot, and its envelope."""
        return self.max_batch_bytes + self.max_command_bytes + (64 << 10)
