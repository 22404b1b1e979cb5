"""Who is calling: users are what client certificates say (CN the user, O its groups); no certificate is anonymous.

Called by the adapters (`http`, `grpc`), which hand the User on to `handler`. A certificate that no authority of ours
signed never gets here: TLS refuses it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from minik8s.api.errors import unauthorized


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated caller."""

    name: str
    groups: tuple[str, ...] = ()

    def is_in(self, group: str) -> bool:
        """Whether the user belongs to `group`."""
        return group in self.groups


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))
SERVER = User("system:apiserver", ("system:masters", "system:authenticated"))
"""The apiserver's own voice, for what it creates itself."""


def from_subject(common_name: str, organizations: Iterable[str]) -> User:
    """The user of a verified client certificate."""
    return User(common_name, (*organizations, "system:authenticated")) if common_name else ANONYMOUS


def from_peer_certificate(certificate: Mapping[str, object] | None) -> User:
    """The user of what `ssl.SSLObject.getpeercert()` returned; None or empty is no certificate."""
    if not certificate:
        return ANONYMOUS
    subject = certificate.get("subject", ())
    assert isinstance(subject, Sequence)
    pairs = [pair for relative_name in subject for pair in relative_name]
    names = [value for kind, value in pairs if kind == "commonName"]
    return from_subject(names[0] if names else "", (value for kind, value in pairs if kind == "organizationName"))


def refuse_other_credentials(authorization: str) -> None:
    """Tokens and passwords are not accepted yet. As upstream, credentials that are wrong are never just anonymous.

    Raises StatusError Unauthorized.
    """
    if authorization:
        raise unauthorized()
