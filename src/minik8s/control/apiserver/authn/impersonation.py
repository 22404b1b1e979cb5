"""Acting as somebody else: Impersonate-User, -Group, -Uid and -Extra-*, as `kubectl --as` sends them.

The caller must be allowed the verb `impersonate` on each: on the user or ServiceAccount, on every group, the uid, and
every value of every extra. From then on the request is that user's; audit still knows who called.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from minik8s.api.errors import internal
from minik8s.control.apiserver.authn.accounts import PREFIX, account_user
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.users import ANONYMOUS, UNAUTHENTICATED, User
from minik8s.control.apiserver.authz.attributes import Attributes, Authorizer, require

_GROUP = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class Impersonator:
    """Asks `authorizer` whether the caller may."""

    authorizer: Authorizer

    async def apply(self, user: User, credentials: Credentials) -> User:
        """The user that is meant. Raises StatusError Forbidden; InternalError for a group without a user."""
        wanted = _wanted(credentials)
        if wanted is None:
            return user
        for attributes in _questions(user, wanted):
            await require(self.authorizer, attributes)
        return replace(_completed(wanted), impersonator=user)


def _wanted(credentials: Credentials) -> User | None:
    """Exactly what the headers say; None if they say nothing."""
    name, uid = credentials.first("impersonate-user"), credentials.first("impersonate-uid")
    groups = tuple(credentials.all("impersonate-group"))
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in credentials.prefixed("impersonate-extra-"):
        key = unquote(key).lower()
        extra[key] = (*extra.get(key, ()), value)
    if not name and (groups or uid or extra):
        raise internal("requested impersonation of groups, a uid or extras without impersonating a user")
    return User(name, groups, uid, extra) if name else None


def _questions(user: User, wanted: User) -> Iterator[Attributes]:
    """What the caller must be allowed."""
    if account := _account(wanted.name):
        yield Attributes(user, "impersonate", "", "v1", "serviceaccounts", "", *account)
    else:
        yield Attributes(user, "impersonate", "", "v1", "users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes(user, "impersonate", "", "v1", "groups", name=group)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(user, "impersonate", _GROUP, "v1", "userextras", key, name=value)
    if wanted.uid:
        yield Attributes(user, "impersonate", _GROUP, "v1", "uids", name=wanted.uid)


def _completed(wanted: User) -> User:
    """With the groups that such a user would have: a ServiceAccount's, and those of all that are authenticated."""
    account = _account(wanted.name)
    if account and not wanted.groups:
        wanted = replace(wanted, groups=account_user(*account, wanted.uid).groups)
    if wanted.name == ANONYMOUS.name:
        return wanted if UNAUTHENTICATED in wanted.groups else replace(wanted, groups=(*wanted.groups, UNAUTHENTICATED))
    return wanted.authenticated()


def _account(name: str) -> tuple[str, str] | None:
    """(namespace, name) of a user that is a ServiceAccount."""
    namespace, _, account = name.removeprefix(PREFIX).partition(":")
    return (namespace, account) if name.startswith(PREFIX) and namespace and account else None
