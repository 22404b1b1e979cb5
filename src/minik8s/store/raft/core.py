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
from minik8s.store.raft.messages import (
    Ack,
    Append,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    StaleTerm,
    TimeoutNow,
    Vote,
)
from minik8s.store.raft.pysync import Member, Outbox, load
from minik8s.store.raft.roster import Configuration

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


@dataclass(slots=True)
class Leaving:
    """A member that was removed, and is still to be told so."""

    address: tuple[str, int]
    index: int
    until_s: float
    heartbeats: int = 0


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
        needs_snapshot: Callable[[str], None],
    ) -> None:
        self.config = config
        self.journal = journal
        self.elections = elections
        self._clock = clock
        self._send = send
        self._apply = apply
        self._is_writable = is_writable
        self._needs_snapshot = needs_snapshot
        self._nodes: dict[str, Member] = {}
        self._progress: dict[str, Progress] = {}
        self._leaving: dict[str, Leaving] = {}
        self._configuration = Configuration({})
        self._transfer_term = 0
        self._linked: dict[str, tuple[str, int]] = {}
        self._handled_epoch = 0
        self._commit_floor = 0
        super().__init__(
            Member(config.name),
            [],
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
        # The snapshot, or PySyncObj's first entry, is applied.
        self._SyncObj__raftLastApplied = journal.first_index
        self._reconfigure()
        if self._is_alone():
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
        """Members, or whoever else is linked and may turn out to be one."""
        return [name for name, node in self._nodes.items() if node in self._SyncObj__connectedNodes]

    def linked(self) -> dict[str, tuple[str, int]]:
        """Whom to be connected with, and where they are; a new value at each change."""
        return self._linked

    def _find_linked(self) -> dict[str, tuple[str, int]]:
        found = {name: place.address for name, place in self._configuration.members.items()}
        if self.config.name not in found or not self.journal.configured_at:
            # Our log is not far enough to know who leads.
            found = {**found, **self.config.peers}
        found |= {name: leaving.address for name, leaving in self._leaving.items()}
        found.pop(self.config.name, None)
        return found

    def lacks_log(self, peer: str) -> bool:
        """As leader: whether a member needs entries that only our snapshot has."""
        next_index = self._SyncObj__raftNextIndex.get(self._node(peer))
        return next_index is not None and next_index <= self.journal.first_index and peer in self.connected()

    def match_index(self, peer: str) -> int:
        """As leader: how far a member's log surely agrees with ours."""
        return self._SyncObj__raftMatchIndex.get(self._node(peer), 0)

    def is_responsive(self, peer: str) -> bool:
        """As leader: whether a member has answered within the shortest election timeout."""
        heard_s = self._SyncObj__lastResponseTime.get(self._node(peer), float("-inf"))
        return self._clock.monotonic_s() - heard_s < self.config.election_timeout_s

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
        if self._leaving and not self.is_leader():
            self._say_goodbye()
        self.replicate()

    def append(self, command: bytes) -> None:
        """Propose an entry. The caller has seen that we lead."""
        assert self.is_leader()
        self.journal.add(command, self.journal.last_index + 1, self.term())

    def change(self, configuration: Configuration, command: bytes) -> int:
        """Propose a new configuration, which holds from now on. The caller has seen that it may be. Its index."""
        assert self.is_leader()
        assert self.config.name in configuration.voters
        self.append(command)
        self._reconfigure()
        return self.journal.last_index

    def installed(self, index: int) -> None:
        """A snapshot that ends with the entry at `index` took the place of log and state."""
        self._SyncObj__raftCommitIndex = self._SyncObj__raftLastApplied = self._commit_floor = index
        self._reconfigure()

    def acknowledge(self, peer: str, index: int) -> None:
        """Tell the leader that all up to `index` is here, when that is durable."""
        self._send(peer, Ack(self.term(), self._handled_epoch, index + 1, True))

    def hand_over(self, peer: str) -> None:
        """Have a voter whose log equals ours stand at once, with our blessing."""
        self._send(peer, TimeoutNow(self.term()))

    def on_connected(self, peer: str) -> None:
        could_win = self._can_win()
        self._SyncObj__onNodeConnected(self._node(peer))
        if self.is_leader():
            self._SyncObj__newAppendEntriesTime = float("-inf")
            self._rewind(peer)
        elif not self.elections.is_leader_fresh and self._can_win() and not could_win:
            self._wait_before_standing()

    def on_disconnected(self, peer: str) -> None:
        self._SyncObj__onNodeDisconnected(self._node(peer))
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
                is_voter = peer in self._configuration.voters
                if term == self.term() and is_voter and self.elections.count_vote(peer, term=term):
                    self._deliver(peer, type="response_vote", term=term)
            case PreVote():
                self._on_pre_vote(peer, message)
            case PreVoteReply(term, round_number):
                # Meanwhile a leader may have come back, or a later term begun.
                is_current = term == self.term() and not self._is_content()
                if is_current and self.elections.support(
                    peer, term=term, round_number=round_number, configuration=self._configuration
                ):
                    self._stand()
            case TimeoutNow(term):
                if term == self.term() and peer == self.leader() and self._is_voter():
                    self._transfer_term = term + 1
                    self.elections.lost()
                    self._stand()
            case StaleTerm(term):
                self._catch_up(term)

    # Members.

    def _reconfigure(self) -> None:
        """Go by the last configuration in the log."""
        configuration = self.journal.configuration
        if configuration is self._configuration:
            return
        before, self._configuration = self._configuration, configuration
        name = self.config.name
        if self.is_leader():
            for gone in sorted(before.members.keys() - configuration.members.keys()):
                place = before.members[gone]
                self._leaving[gone] = Leaving(place.address, self.journal.configured_at, self._clock.monotonic_s() + 5)
        for other in sorted(configuration.members):
            self._node(other)
        voters = {self._node(other) for other in configuration.voters if other != name}
        # PySyncObj replicates to its "read-only" nodes and does not count them.
        learners = {
            self._node(other) for other in configuration.members.keys() - configuration.voters if other != name
        } | {self._node(other) for other in self._leaving}
        known = self._targets()
        self._SyncObj__otherNodes: set[Member] = voters
        self._SyncObj__readonlyNodes: set[Member] = learners
        self._linked = self._find_linked()
        for node in (voters | learners) - known:
            self._SyncObj__raftNextIndex[node] = self.journal.last_index + 1
            self._SyncObj__raftMatchIndex[node] = 0
            self._SyncObj__lastResponseTime[node] = self._clock.monotonic_s()
            self._rewind(node.id)
        for node in known - (voters | learners):
            for facts in (
                self._SyncObj__raftNextIndex,
                self._SyncObj__raftMatchIndex,
                self._SyncObj__lastResponseTime,
            ):
                facts.pop(node, None)

    def _say_goodbye(self) -> None:
        """At each heartbeat: forget members that were removed once they know it, or do not answer."""
        for name, leaving in list(self._leaving.items()):
            is_told = min(self.match_index(name), self.commit_index()) >= leaving.index
            leaving.heartbeats += is_told
            if leaving.heartbeats > 3 or self._clock.monotonic_s() > leaving.until_s or not self.is_leader():
                del self._leaving[name]
                self._SyncObj__readonlyNodes.discard(self._node(name))
                self._linked = self._find_linked()

    def _node(self, name: str) -> Member:
        if name not in self._nodes:
            self._nodes[name] = Member(name)
            self._progress[name] = Progress()
        return self._nodes[name]

    def _targets(self) -> set[Member]:
        """Who is to have our log, as leader."""
        return self._SyncObj__otherNodes | self._SyncObj__readonlyNodes

    def _is_voter(self) -> bool:
        return self.config.name in self._configuration.voters

    def _is_alone(self) -> bool:
        return self._configuration.voters == {self.config.name}

    def _can_win(self) -> bool:
        """Whether enough voters are connected."""
        return self._is_voter() and self._configuration.is_majority({self.config.name, *self.connected()})

    def _rewind(self, peer: str) -> None:
        """Where a follower's log matches is to be found out again."""
        self._progress[peer] = Progress(epoch=self._progress[peer].epoch + 1)

    # Elections.

    def _wait_before_standing(self) -> None:
        self._SyncObj__raftElectionDeadline = self._clock.monotonic_s() + self.elections.timeout_s()

    def _campaign(self) -> None:
        """Ask whether we would win; stand only then."""
        self._wait_before_standing()
        if not self._can_win():
            return
        self._SyncObj__raftLeader = None
        round_number = self.elections.ask(self.term())
        if self._is_alone():
            self._stand()
            return
        last = self.journal.last_index
        for peer in self.connected():
            if peer not in self._configuration.voters:
                continue
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
        elif message.is_transfer or not self._is_content():
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
        for name in self._progress:
            self._rewind(name)
        super()._SyncObj__onBecomeLeader()

    # Replication, as follower.

    def _on_append(self, peer: str, message: Append) -> None:
        if message.term < self.term():
            # Told, as with stickiness our own candidacy could not depose a leader whose term is behind ours.
            self._send(peer, StaleTerm(self.term()))
            return
        self.elections.heard()
        self._handled_epoch = message.epoch
        prev_index, prev_term, entries = message.prev_index, message.prev_term, message.entries
        if prev_index < self.journal.first_index:
            # A snapshot covers some of it: committed, so the leader has the same.
            entries = entries[self.journal.first_index - prev_index :]
            prev_index = self.journal.first_index
            prev_term = self.journal.term_at(prev_index)
        first = prev_index + 1
        verified = prev_index + len(entries)
        self._deliver(
            peer,
            type="append_entries",
            term=message.term,
            # Entries behind those in this message may be another leader's, so the commit index stops here (Raft §5.3:
            # "min(leaderCommit, index of last new entry)").
            commit_index=min(message.commit_index, verified),
            entries=[(command, first + place, term) for place, (term, command) in enumerate(entries)],
            prevLogIdx=prev_index,
            prevLogTerm=prev_term,
        )
        self._reconfigure()

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
        return self.journal.between(fromIDx, 1 if count is None else count)

    # Replication, as leader.

    def _on_ack(self, peer: str, message: Ack) -> None:
        if message.term != self.term() or not self.is_leader():
            return
        node = self._node(peer)
        if node not in self._SyncObj__raftMatchIndex:
            return
        progress = self._progress[peer]
        if not message.success and message.epoch != progress.epoch:
            return
        if not 2 <= message.next_index <= self.journal.last_index + 1:
            return
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
            # One that comes back without its data has less than it acknowledged; its acks would be ignored for ever.
            matches = self._SyncObj__raftMatchIndex
            matches[node] = min(matches[node], message.next_index - 1)
            self._rewind(peer)

    def replicate(self, *, is_heartbeat: bool = False) -> None:
        """Send each follower what it lacks, and every one something if this is a heartbeat."""
        if not self.is_leader():
            return
        if not is_heartbeat and min(self._SyncObj__raftNextIndex.values(), default=0) > self.journal.last_index:
            return  # The commonest case by far: everything is on its way.
        voters, learners = self._SyncObj__otherNodes, self._SyncObj__readonlyNodes
        for peer in self.connected():
            if self._nodes[peer] not in voters and self._nodes[peer] not in learners:
                continue
            progress = self._progress[peer]
            if is_heartbeat:
                progress.has_asked = False
            if not self._send_entries(peer, progress) and is_heartbeat:
                self._send_append(peer, [])

    def _send_entries(self, peer: str, progress: Progress) -> bool:
        """Entries the follower lacks, as far as the link takes them; whether any were sent."""
        node = self._nodes[peer]
        for sent in range(_BATCHES_AT_ONCE):
            first = self._SyncObj__raftNextIndex[node]
            is_waiting = progress.is_probing and progress.has_asked
            if first > self.journal.last_index or is_waiting or not self._is_writable(peer):
                return sent > 0
            if first <= self.journal.first_index:
                self._needs_snapshot(peer)
                return sent > 0
            entries = self.journal.entries_from(first, self.config.max_batch_bytes)
            self._send_append(peer, entries)
            self._SyncObj__raftNextIndex[node] = first + len(entries)
            progress.has_asked = True
        return True

    def _send_append(self, peer: str, entries: list[Entry]) -> None:
        # A heartbeat to one that needs a snapshot speaks of what we have.
        previous = max(self._SyncObj__raftNextIndex[self._nodes[peer]] - 1, self.journal.first_index)
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
        self._say_goodbye()
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
            command, _, term = self.journal.entry(index)
            self._apply(index, term, command)
            self._SyncObj__raftLastApplied = index
        return commit > self._commit_floor

    def _checkCommandsToApply(self) -> None:
        """Commands come through `append`, many to an entry (S9, S10)."""

    def _SyncObj__tryLogCompaction(self) -> None:
        """Stock forks, pickles and rewrites the journal in place (S3, S6). Snapshots are the node's."""

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        raise AssertionError("no dump is ever written or received")

    # Between PySyncObj's dictionaries and our messages.

    def _deliver(self, peer: str, **message: Any) -> None:
        self._SyncObj__onMessageReceived(self._node(peer), message)

    def on_outgoing(self, peer: str, message: dict[str, Any]) -> None:
        """What PySyncObj sends of its own accord: requests for votes, and votes."""
        if message["type"] == "request_vote":
            term, index, last_term = message["term"], message["last_log_index"], message["last_log_term"]
            self._send(peer, RequestVote(term, index, last_term, term == self._transfer_term))
        else:
            assert message["type"] == "response_vote", message["type"]
            self._send(peer, Vote(message["term"]))


def make_core(config: RaftConfig, journal: Journal, elections: Elections, clock: Clock, **callbacks: Any) -> Core:
    """A core over its own copy of PySyncObj, which reads `clock`."""
    bound: type[Core] = type("BoundCore", (Core, load(clock.monotonic_s)), {})
    return bound(config, journal, elections, clock, **callbacks)
