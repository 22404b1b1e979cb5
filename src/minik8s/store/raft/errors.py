"""What can go wrong with a proposal or a read, told by whether the command may still take effect.

The store maps these to etcd's errors (store/errors.py). Only `ProposalTimeout` leaves the outcome open; every other
class means that the command was not applied and never will be.
"""

from pathlib import Path

from minik8s.kit.run import StartError


class RaftError(Exception):
    """Any failure of consensus."""


class ProposalTimeout(RaftError):
    """The command was handed to Raft and no outcome came in time: it may have happened, or may happen yet."""


class NotProposed(RaftError):
    """The command never entered any log: it surely did not happen."""


class NotStarted(NotProposed):
    """The member is not running, or is stopping."""


class NoLeader(NotProposed):
    """No leader appeared within the timeout."""


class TooManyProposals(NotProposed):
    """The queue of this member is full; the caller should slow down."""


class CommandTooLarge(NotProposed):
    """The command is larger than one log entry may be."""


class MembershipRefused(NotProposed):
    """The members cannot be changed this way: nothing was changed."""


class MemberExists(MembershipRefused):
    """There is a member of this name or address."""


class MemberNotFound(MembershipRefused):
    """There is no member of this name."""


class MemberNotLearner(MembershipRefused):
    """Only a learner can be promoted."""


class LearnerNotReady(MembershipRefused):
    """The learner's log is not near the leader's yet."""


class ChangeUnderWay(MembershipRefused):
    """One change at a time: an earlier one is not committed yet, or the leader is too new to know."""


class QuorumAtRisk(MembershipRefused):
    """Too few of the remaining voters can be reached."""


class NotLeader(RaftError):
    """Only the leader can be asked this."""


class TransferFailed(RaftError):
    """Leadership stayed where it was, or went elsewhere: the target is no voter, is away, or lags."""


class Removed(StartError):
    """This member was removed from the cluster: it stops, and must not start again with its old data."""


class DataLost(StartError):
    """This member has been part of the cluster and knows nothing any more: it must not vote under its old name."""


class ReadTimeout(RaftError):
    """No quorum confirmed the read point in time."""


class LogCorrupt(StartError):
    """The log on disk is damaged where no crash can damage it: continuing could lose acknowledged writes."""

    def __init__(self, path: Path, offset: int, why: str) -> None:
        super().__init__(
            f"{path}: corrupt at byte {offset}: {why}. Move the data directory away and let the member rejoin empty, "
            f"or restore it from a backup"
        )
        self.path = path
        self.offset = offset


class LogWriteFailed(StartError):
    """The log cannot be written (disk full, I/O error): the member stops rather than acknowledge what may vanish.

    A StartError, as its user can mend it: make room, restart; nothing acknowledged is lost.
    """
