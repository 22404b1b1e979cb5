"""Changing the members and the leader: requests on any member, decisions on the leader.

The leader admits one change at a time, and only once it has committed an entry of its own term (Raft thesis §4, and the
erratum to it). It never removes itself: it hands over first, and the next leader does it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from minik8s.kit.clock import Clock
from minik8s.store.raft import errors
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.core import Core
from minik8s.store.raft.errors import (
    ChangeUnderWay,
    LearnerNotReady,
    MemberExists,
    MemberNotFound,
    MemberNotLearner,
    MembershipRefused,
    NoLeader,
    NotLeader,
    ProposalTimeout,
    QuorumAtRisk,
    TransferFailed,
)
from minik8s.store.raft.messages import Change, Changed, Message
from minik8s.store.raft.roster import Configuration, encode_entry

_LOOK_S = 0.02
_REFUSALS: dict[str, type[MembershipRefused]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MembershipRefused)
}
_HANDS_OVER = "HandsOver"
# As etcd: a learner may lag this much of the log, and still be taken.
_READY_SHARE = 0.9


@dataclass(slots=True)
class Membership:
    """One member's part in both."""

    config: RaftConfig
    clock: Clock
    send: Callable[[str, Message], None]
    wake: Callable[[], None]
    core: Callable[[], Core]
    is_handing_over: bool = False
    """No new entry is logged meanwhile, so that the next leader's log can be equal to ours."""
    _number: int = 0
    _replies: dict[int, asyncio.Future[Changed]] = field(default_factory=dict)

    async def change(self, kind: str, name: str, address: tuple[str, int] = ("", 0)) -> None:
        """Have the leader change the members; done when it holds and is applied here. Raises MembershipRefused's
        classes, NoLeader, ProposalTimeout."""
        deadline_s = self.clock.monotonic_s() + self.config.propose_timeout_s
        is_repeated = False
        while True:
            await self._until(
                lambda: self.core().leader() is not None, deadline_s, NoLeader("no leader took the change")
            )
            reply = await self._ask(Change(0, kind, name, *address), deadline_s)
            if reply is None:
                is_repeated = True
                continue
            is_early = reply.refusal == ChangeUnderWay.__name__ and self.clock.monotonic_s() < deadline_s
            if reply.refusal == _HANDS_OVER or is_early:
                await asyncio.sleep(_LOOK_S)
                continue
            if reply.refusal:
                refusal = _REFUSALS.get(reply.refusal, MembershipRefused)
                if is_repeated and refusal in (MemberExists, MemberNotFound, MemberNotLearner):
                    # We did it, and the answer was lost.
                    return
                raise refusal(reply.why)
            unknown = ProposalTimeout("request timed out")
            await self._until(partial(self._has_applied, reply.index), deadline_s, unknown)
            journal = self.core().journal
            if not journal.holds(reply.index, reply.term):
                # Another leader's entry stands there.
                continue
            return

    async def transfer(self, to: str) -> None:
        """Raises NotLeader, TransferFailed."""
        core = self.core()
        if not core.is_leader():
            raise NotLeader("only the leader can hand over")
        if to == self.config.name:
            return
        if to not in core.journal.configuration.voters or to not in core.connected():
            raise TransferFailed(f"{to!r} is not a voter that can be reached")
        if self.is_handing_over:
            raise TransferFailed("another transfer is under way")
        deadline_s = self.clock.monotonic_s() + self.config.election_timeout_s
        failed = TransferFailed(f"{to!r} did not take over in time")
        self.is_handing_over = True
        try:
            self.wake()
            await self._until(
                lambda: not core.is_leader() or core.match_index(to) == core.journal.last_index, deadline_s, failed
            )
            if core.is_leader():
                core.hand_over(to)
            await self._until(lambda: not core.is_leader(), deadline_s, failed)
        finally:
            self.is_handing_over = False
            self.wake()
        await self._until(lambda: core.leader() is not None, deadline_s, failed)
        if core.leader() != to:
            raise TransferFailed(f"{core.leader()!r} leads instead of {to!r}")

    def heir(self) -> str | None:
        """Whom a leader that ends should hand over to: the voter whose log is furthest."""
        core = self.core()
        voters = [peer for peer in core.connected() if peer in core.journal.configuration.voters]
        return max(voters, key=core.match_index, default=None)

    def on_message(self, peer: str, message: Message) -> None:
        match message:
            case Change():
                self.send(peer, self._decide(message))
            case Changed():
                future = self._replies.get(message.number)
                if future and not future.done():
                    future.set_result(message)

    def close(self) -> None:
        for future in self._replies.values():
            if not future.done():
                future.set_exception(ProposalTimeout("the member is stopping"))

    async def _ask(self, change: Change, deadline_s: float) -> Changed | None:
        """The leader's answer; None if it is to be asked again."""
        core = self.core()
        leader = core.leader()
        if core.is_leader():
            return self._decide(change)
        if leader is None:
            return None
        self._number += 1
        change.number = self._number
        reply = self._replies[change.number] = asyncio.get_running_loop().create_future()
        try:
            self.send(leader, change)
            async with asyncio.timeout(max(0.0, min(self.config.read_retry_s, deadline_s - self.clock.monotonic_s()))):
                return await reply
        except TimeoutError:
            if self.clock.monotonic_s() >= deadline_s:
                raise ProposalTimeout("request timed out") from None
            return None
        finally:
            del self._replies[change.number]

    def _decide(self, change: Change) -> Changed:
        """As leader: put the change into the log, or say why not."""
        core = self.core()
        journal = core.journal
        if not core.is_leader():
            return Changed(change.number, 0, 0, _HANDS_OVER)
        before = journal.configuration
        try:
            if change.kind == "remove" and change.name == self.config.name:
                before.without(change.name)
                return self._leave(change)
            self._check_ready(change)
            after = _changed(change, before)
        except MembershipRefused as error:
            return Changed(change.number, 0, 0, type(error).__name__, str(error))
        index = core.change(after, encode_entry(after))
        self.wake()
        return Changed(change.number, index, core.term())

    def _check_ready(self, change: Change) -> None:
        """Raises ChangeUnderWay, LearnerNotReady, QuorumAtRisk."""
        core = self.core()
        journal = core.journal
        if core.commit_index() < max(core.own_term_index(), journal.configured_at) or self.is_handing_over:
            raise ChangeUnderWay("an earlier change is not committed yet: try again")
        is_known = change.name in journal.configuration.members
        if change.kind == "promote" and is_known and core.match_index(change.name) < _READY_SHARE * journal.last_index:
            raise LearnerNotReady("can only promote a learner member which is in sync with leader")
        if change.kind == "remove" and change.name in journal.configuration.voters:
            left = journal.configuration.without(change.name)
            alive = {self.config.name, *(name for name in core.connected() if core.is_responsive(name))}
            if not left.is_majority(alive):
                raise QuorumAtRisk(f"without {change.name!r} no majority of voters could be reached")

    def _leave(self, change: Change) -> Changed:
        """We are to go: first somebody else has to lead."""
        heir = self.heir()
        if heir is None:
            return Changed(change.number, 0, 0, QuorumAtRisk.__name__, "no other voter can be reached to lead")
        if not self.is_handing_over:
            task = asyncio.ensure_future(self.transfer(heir))
            # The asker tries again, whatever came of it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Changed(change.number, 0, 0, _HANDS_OVER)

    def _has_applied(self, index: int) -> bool:
        return self.core().applied_index() >= index

    async def _until(self, condition: Callable[[], bool], deadline_s: float, error: Exception) -> None:
        while not condition():
            if self.clock.monotonic_s() >= deadline_s:
                raise error
            await asyncio.sleep(_LOOK_S)


def _changed(change: Change, before: Configuration) -> Configuration:
    """Raises MembershipRefused's classes."""
    match change.kind:
        case "add learner" | "add voter":
            learner = change.kind == "add learner"
            return before.with_member(change.name, (change.host, change.port), learner=learner)
        case "promote":
            return before.with_voter(change.name)
        case "remove":
            return before.without(change.name)
    raise MembershipRefused(f"there is no change {change.kind!r}")
