"""Those who can read credentials of one sort, and what they find. The vocabulary of `authenticator`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.users import User


class Refused(Exception):
    """A token that is not good. The message says why, for reviews and the log; it never holds the token."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A good token: its user, and for whom it was made, of those that were asked about (empty: it does not say)."""

    user: User
    audiences: tuple[str, ...] = ()


class TokenReader(Protocol):
    """Somebody who knows one sort of token."""

    async def read(self, token: str, audiences: Sequence[str], /) -> Verified | None:
        """The user of a token for any of `audiences`; None if it is of another sort. Raises Refused."""
        ...


class RequestReader(Protocol):
    """Somebody who finds the user in the request itself, rather than in a token."""

    def read(self, credentials: Credentials, /) -> User | None:
        """The user; None if the request says nothing of this sort. Raises Refused."""
        ...
