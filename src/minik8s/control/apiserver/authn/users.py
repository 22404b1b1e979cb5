"""Users: what authentication finds out, and authorization, admission and audit go by. The vocabulary of the package."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
"""The extra that tells audit which of a user's credentials was used."""


@dataclass(frozen=True, slots=True)
class User:
    """A caller. Two are equal if they are the same user, by whatever credential and whoever acts as them."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    impersonator: "User | None" = field(default=None, compare=False)  # who really called

    def is_in(self, group: str) -> bool:
        """Whether the user belongs to `group`."""
        return group in self.groups

    def authenticated(self) -> "User":
        """The user as a member of the group of all that are known; who is in either group already stays as it is."""
        if AUTHENTICATED in self.groups or UNAUTHENTICATED in self.groups:
            return self
        return replace(self, groups=(*self.groups, AUTHENTICATED))

    def info(self) -> dict[str, object]:
        """The UserInfo document of reviews, webhooks and audit; what is empty is left out."""
        document: dict[str, object] = {
            "username": self.name,
            "uid": self.uid,
            "groups": list(self.groups),
            "extra": {key: list(values) for key, values in self.extra.items()},
        }
        return {key: value for key, value in document.items() if value}


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
ADMIN = User("kubernetes-admin", ("system:masters", AUTHENTICATED))
SERVER = User("system:apiserver", ("system:masters", AUTHENTICATED))
"""The apiserver's own voice, for what it creates itself."""
