"""PySyncObj's Raft made safe: its decisions stay its own (roles, terms, votes, commit), its faults are overridden.

The node calls `tick` when time passed or something changed, `step` with a peer's message, `append` to propose as
leader. The core answers through two callbacks: `send` (a message is to go out) and `apply` (an entry is committed).
No I/O, no waiting. All that touches PySyncObj's private names is in this file. Each override says what is wrong
without it; S1 … S11 are the faults listed in DESIGN.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pysyncobj.config import SyncObjConf

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.election import Elections
from minik8s.store.raft.journal import Entry, Journal
from minik8s.store.raft.messages import Ack, Append, Message, PreVote, PreVoteReply, RequestVote, StaleTerm, Vote
from minik8s.store.raft.pysync import Member, Outbox, load

if TYPE_CHECKING:
    from pysyncobj import SyncObj as _SyncObj  # any copy of the class: see pysync
else:
    _SyncObj = object

log = get_logger(__name__)

_FOLLOWER = 0
_LEADER = 2
_BATCHES_AT_ONCE = 8
_ENTRIES_BETWEEN_LOOKS = 16


@dataclass(slots=True)
class Progress:
    """What a leader knows of the way to one follower, beside PySyncObj's next and match index."""

    epoch: int = 0
    is_probing: bool = True
    """Where the follower's log matches is not known: one message at a time, until one succeeds."""
    has_asked: bool = False


class Core(_SyncObj):
    """Mixed over a copy of SyncObj by `make_core`."""

    def __init__(
        self,
        config: RaftConfig,
        journal: Journal,
        elections: Elections,
        clock: Clock,
        *,
        send: Callable[[str, Message], None],
        apply: Callable[[int, int, bytes], None],
        is_writable: Callable[[str], bool],
    ) -> None:
        self.config = config
        self.journal = journal
        self.elections = elections
        self._clock = clock
        self._send = send
        self._apply = apply
        self._is_writable = is_writable
        self._peers = {name: Member(name) for name in config.members if name != config.name}
        self._progress = {name: Progress() for name in self._peers}
        self._handled_epoch = 0
        self._commit_floor = 0
        super().__init__(
            Member(config.name),
            list(self._peers.values()),
            SyncObjConf(
                autoTick=False,
                journalFile=journal,
                raftMinTimeout=config.election_timeout_s,
                raftMaxTimeout=2 * config.election_timeout_s,
                appendEntriesPeriod=config.heartbeat_s,
                connectionTimeout=4 * config.election_timeout_s,
                # A leader without a majority steps down before the others' patience ends (stock: 30 s, S5).
                leaderFallbackTimeout=1.5 * config.election_timeout_s,
                useFork=False,
            ),
            nodeClass=Member,
            transportClass=Outbox,
        )
        if config.quorum == 1:
            self._SyncObj__raftElectionDeadline = float("-inf")

    # What is so. Methods, not properties: SyncObj's constructor evaluates every property.

    def term(self) -> int:
        return self._SyncObj__raftCurrentTerm

    def is_leader(self) -> bool:
        return self._SyncObj__raftState == _LEADER

    def leader(self) -> str | None:
        node = self._SyncObj__raftLeader
        return node.id if node is not None else None

    def commit_index(self) -> int:
        return self._SyncObj__raftCommitIndex

    def applied_index(self) -> int:
        return self._SyncObj__raftLastApplied

    def own_term_index(self) -> int:
        """The no-op that began this leader's term."""
        return self._SyncObj__noopIDx

    def connected(self) -> list[str]:
        return [name for name, node in self._peers.items() if node in self._SyncObj__connectedNodes]

    def next_wake_s(self) -> float:
        """When `tick` is due if nothing happens."""
        if self.is_leader():
            return self._SyncObj__newAppendEntriesTime
        return self._SyncObj__raftElectionDeadline

    # What happens.

    def tick(self) -> None:
        """Time passed, or something changed: stand for election, commit, apply, send heartbeats, as is due."""
        if not self.is_leader() and self._SyncObj__raftElectionDeadline <= self._clock.monotonic_s():
            self._campaign()
        self._drive()
        self.replicate()

    def append(self, command: bytes) -> None:
        """Propose an entry. The caller has seen that we lead."""
        assert self.is_leader()
        self.journal.add(command, self.journal.last_index + 1, self.term())

    def on_connected(self, peer: str) -> None:
        self._SyncObj__onNodeConnected(self._peers[peer])
        if self.is_leader():
            self._SyncObj__newAppendEntriesTime = float("-inf")
            self._progress[peer] = Progress(epoch=self._progress[peer].epoch + 1)
        elif not self.elections.is_leader_fresh and len(self.connected()) + 1 == self.config.quorum:
            self._wait_before_standing()

    def on_disconnected(self, peer: str) -> None:
        self._SyncObj__onNodeDisconnected(self._peers[peer])
        if self.leader() == peer:
            # A killed leader's kernel resets its connections: no need to wait for silence. PreVote makes this safe
            # where only the connection broke.
            self.elections.lost()
            self._SyncObj__raftLeader = None
            self._wait_before_standing()

    def step(self, peer: str, message: Message) -> None:
        """A peer's Raft message."""
        match message:
            case Append():
                self._on_append(peer, message)
            case Ack():
                self._on_ack(peer, message)
            case RequestVote():
                self._on_request_vote(peer, message)
            case Vote(term):
                if term == self.term() and self.elections.count_vote(peer, term=term):
                    self._deliver(peer, type="response_vote", term=term)
            case PreVote():
                self._on_pre_vote(peer, message)
            case PreVoteReply(term, round_number):
                # Meanwhile a leader may have come back, or a later term begun.
                is_current = term == self.term() and not self._is_content()
                if is_current and self.elections.support(peer, term=term, round_number=round_number):
                    self._stand()
            case StaleTerm(term):
                self._catch_up(term)

    # Elections.

    def _wait_before_standing(self) -> None:
        self._SyncObj__raftElectionDeadline = self._clock.monotonic_s() + self.elections.timeout_s()

    def _campaign(self) -> None:
        """Ask whether we would win; stand only then."""
        self._wait_before_standing()
        if len(self.connected()) + 1 < self.config.quorum:
            return
        self._SyncObj__raftLeader = None
        round_number = self.elections.ask(self.term())
        if self.config.quorum == 1:
            self._stand()
            return
        last = self.journal.last_index
        for peer in self.connected():
            self._send(peer, PreVote(self.term(), round_number, last, self.journal.term_at(last)))

    def _stand(self) -> None:
        self._SyncObj__raftElectionDeadline = float("-inf")
        self._drive()

    def _on_pre_vote(self, peer: str, message: PreVote) -> None:
        if message.term < self.term():
            # Answered, as a member whose term is behind could otherwise never win although its log is the best.
            self._send(peer, StaleTerm(self.term()))
        elif not self._is_content() and self._is_up_to_date(message.last_index, message.last_term):
            self._send(peer, PreVoteReply(message.term, message.round))

    def _on_request_vote(self, peer: str, message: RequestVote) -> None:
        if message.term < self.term():
            self._send(peer, StaleTerm(self.term()))
        elif not self._is_content():
            self._deliver(
                peer,
                type="request_vote",
                term=message.term,
                last_log_index=message.last_index,
                last_log_term=message.last_term,
            )

    def _is_content(self) -> bool:
        """We lead, or hear from a leader: no reason to support another (stock: any higher term deposes, S5)."""
        return self.is_leader() or self.elections.is_leader_fresh

    def _is_up_to_date(self, last_index: int, last_term: int) -> bool:
        own = self.journal.last_index
        return (last_term, last_index) >= (self.journal.term_at(own), own)

    def _catch_up(self, term: int) -> None:
        """Somebody is in a later term: whoever we were in ours, we follow now."""
        if term > self.term():
            log.info("follows a later term", member=self.config.name, term=term, was=self.term())
            self._SyncObj__setCurrentTerm(term, None)
            self._SyncObj__setState(_FOLLOWER)
            self._SyncObj__raftLeader = None
            self._wait_before_standing()

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self.elections.timeout_s()

    def _SyncObj__onBecomeLeader(self) -> None:
        self._progress = {name: Progress(epoch=old.epoch + 1) for name, old in self._progress.items()}
        super()._SyncObj__onBecomeLeader()

    # Replication, as follower.

    def _on_append(self, peer: str, message: Append) -> None:
        if message.term < self.term():
            # Told, as with stickiness our own candidacy could not depose a leader whose term is behind ours.
            self._send(peer, StaleTerm(self.term()))
            return
        self.elections.heard()
        self._handled_epoch = message.epoch
        first = message.prev_index + 1
        verified = message.prev_index + len(message.entries)
        self._deliver(
            peer,
            type="append_entries",
            term=message.term,
            # Entries behind those in this message may be another leader's, so the commit index stops here (Raft §5.3:
            # "min(leaderCommit, index of last new entry)").
            commit_index=min(message.commit_index, verified),
            entries=[(command, first + place, term) for place, (term, command) in enumerate(message.entries)],
            prevLogIdx=message.prev_index,
            prevLogTerm=message.prev_term,
        )

    def _SyncObj__sendNextNodeIdx(
        self,
        node: Member,
        reset: bool = False,
        nextNodeIdx: int | None = None,
        success: bool = False,
    ) -> None:
        """Acks carry their term (S5). At a conflict the leader is sent back by a whole term, not one entry (S8)."""
        next_index = nextNodeIdx if nextNodeIdx is not None else self.journal.last_index + 1
        if not success and nextNodeIdx is not None:
            next_index = self.journal.first_index_of_term_at(nextNodeIdx)
        self._send(node.id, Ack(self.term(), self._handled_epoch, next_index, success))

    def _SyncObj__getEntries(
        self,
        fromIDx: int | None,
        count: int | None = None,
        maxSizeBytes: int | None = None,
    ) -> list[Entry]:
        """Without a count PySyncObj asks for the previous entry and all that follows, to truncate them: what it may
        have acknowledged (S1). It gets the previous one; Journal.add truncates where there is a conflict."""
        assert maxSizeBytes is None
        if fromIDx is None or fromIDx < 1:
            return []
        return self.journal[fromIDx - 1 : fromIDx - 1 + (1 if count is None else count)]  # type: ignore[return-value]

    # Replication, as leader.

    def _on_ack(self, peer: str, message: Ack) -> None:
        if message.term != self.term() or not self.is_leader():
            return
        progress = self._progress[peer]
        if not message.success and message.epoch != progress.epoch:
            return
        if not 2 <= message.next_index <= self.journal.last_index + 1:
            return
        node = self._peers[peer]
        next_indexes = self._SyncObj__raftNextIndex
        before = next_indexes[node]
        self._deliver(
            peer,
            type="next_node_idx",
            next_node_idx=message.next_index,
            reset=not message.success,
            success=message.success,
        )
        if message.success:
            # Later batches are under way: sending them again is waste, and in stock PySyncObj lost them (S1).
            next_indexes[node] = max(before, next_indexes[node])
            progress.is_probing = False
        else:
            self._progress[peer] = Progress(epoch=progress.epoch + 1)

    def replicate(self, *, is_heartbeat: bool = False) -> None:
        """Send each follower what it lacks, and every one something if this is a heartbeat."""
        if not self.is_leader():
            return
        for peer in self.connected():
            progress = self._progress[peer]
            if is_heartbeat:
                progress.has_asked = False
            if not self._send_entries(peer, progress) and is_heartbeat:
                self._send_append(peer, [])

    def _send_entries(self, peer: str, progress: Progress) -> bool:
        """Entries the follower lacks, as far as the link takes them; whether any were sent."""
        node = self._peers[peer]
        for sent in range(_BATCHES_AT_ONCE):
            first = self._SyncObj__raftNextIndex[node]
            is_waiting = progress.is_probing and progress.has_asked
            if first > self.journal.last_index or is_waiting or not self._is_writable(peer):
                return sent > 0
            entries = self.journal.entries_from(first, self.config.max_batch_bytes)
            self._send_append(peer, entries)
            self._SyncObj__raftNextIndex[node] = first + len(entries)
            progress.has_asked = True
        return True

    def _send_append(self, peer: str, entries: list[Entry]) -> None:
        previous = self._SyncObj__raftNextIndex[self._peers[peer]] - 1
        self._send(
            peer,
            Append(
                self.term(),
                self._progress[peer].epoch,
                self.commit_index(),
                previous,
                self.journal.term_at(previous),
                [(term, command) for command, _, term in entries],
            ),
        )

    def _SyncObj__sendAppendEntries(self) -> None:
        """Stock sends the whole rest of the log at once, unpickles large entries in chunks (S11), and snapshots."""
        self._SyncObj__newAppendEntriesTime = self._clock.monotonic_s() + self.config.heartbeat_s
        self.replicate(is_heartbeat=True)

    # Commit and apply.

    def _drive(self) -> None:
        self._commit_floor = self.commit_index()
        self.doTick(0.0)

    def _SyncObj__applyLogEntries(self) -> bool:
        """Called when PySyncObj has counted matches, itself included up to the end of its log; it may count only what
        is on its disk (S2). Whether followers should hear of a new commit index at once."""
        durable = min(self.commit_index(), self.journal.durable_index)
        commit = self._SyncObj__raftCommitIndex = max(self._commit_floor, durable)
        self.journal.setRaftCommitIndex(commit)
        deadline_s = self._clock.monotonic_s() + self.config.apply_slice_s
        for index in range(self.applied_index() + 1, commit + 1):
            if index % _ENTRIES_BETWEEN_LOOKS == 0 and self._clock.monotonic_s() > deadline_s:
                break
            command, _, term = self.journal[index - 1]
            self._apply(index, term, command)  # type: ignore[arg-type]
            self._SyncObj__raftLastApplied = index
        return commit > self._commit_floor

    def _checkCommandsToApply(self) -> None:
        """Commands come through `append`, many to an entry (S9, S10)."""

    def _SyncObj__tryLogCompaction(self) -> None:
        """Stock forks, pickles and rewrites the journal in place (S3, S6). Snapshots will be the store's own."""

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise AssertionError("no dump is ever written or received")

    # Between PySyncObj's dictionaries and our messages.

    def _deliver(self, peer: str, **message: Any) -> None:
        self._SyncObj__onMessageReceived(self._peers[peer], message)

    def on_outgoing(self, peer: str, message: dict[str, Any]) -> None:
        """What PySyncObj sends of its own accord: requests for votes, and votes."""
        if message["type"] == "request_vote":
            self._send(peer, RequestVote(message["term"], message["last_log_index"], message["last_log_term"]))
        else:
            assert message["type"] == "response_vote", message["type"]
            self._send(peer, Vote(message["term"]))


def make_core(config: RaftConfig, journal: Journal, elections: Elections, clock: Clock, **callbacks: Any) -> Core:
    """A core over its own copy of PySyncObj, which reads `clock`."""
    bound: type[Core] = type("BoundCore", (Core, load(clock.monotonic_s)), {})
    return bound(config, journal, elections, clock, **callbacks)
