"""Static tokens, from a file of lines `token,user,uid,"group1,group2"` (--token-auth-file), read once at start."""

import csv
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minik8s.control.apiserver.authn.readers import Verified
from minik8s.control.apiserver.authn.users import User
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TokenFile:
    """Knows the tokens of the file."""

    users: tuple[tuple[bytes, User], ...]

    async def read(self, token: str, audiences: Sequence[str]) -> Verified | None:
        """The user; None if the token is not in the file. Such tokens are for every audience that is asked about."""
        given, found = token.encode(errors="surrogateescape"), None
        for known, user in self.users:  # Every one, so that time tells nothing.
            if hmac.compare_digest(known, given):
                found = user
        return Verified(found, tuple(audiences)) if found else None


def load(file: Path) -> TokenFile:
    """Read the file. Raises StartError."""
    users: dict[bytes, User] = {}
    try:
        with file.open(newline="") as lines:
            for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
                if not row:
                    continue
                if len(row) < 3:
                    raise StartError(f"{file}, line {number}: needs token, user name and uid at least")
                token, name, uid = (column.strip() for column in row[:3])
                groups = [group.strip() for group in row[3].split(",")] if len(row) > 3 else []
                if not token or token.encode() in users:
                    log.warning("empty or repeated token in the token file", file=str(file), line=number)
                if token:
                    users[token.encode()] = User(name, tuple(group for group in groups if group), uid)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise StartError(f"cannot read the token file {file}: {error}") from error
    return TokenFile(tuple(users.items()))
