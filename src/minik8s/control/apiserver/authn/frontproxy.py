"""An authenticating proxy in front: its certificate is believed, and its headers say who the user is.

X-Remote-User, -Group, -Uid, -Extra-*, from a client whose certificate is signed by --requestheader-client-ca-file (an
authority of its own, so that no user's certificate can pretend to be the proxy's).
"""

from dataclasses import dataclass
from urllib.parse import unquote

from cryptography import x509

from minik8s.control.apiserver.authn.certificates import is_issued_by, subject
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authn.users import User
from minik8s.kit.clock import Clock


@dataclass(frozen=True, slots=True)
class FrontProxyConfig:
    """Whom to believe, and in which headers (lower case)."""

    authorities: tuple[x509.Certificate, ...]
    allowed_names: tuple[str, ...] = ()  # common names; empty: whoever the authorities have signed
    user_headers: tuple[str, ...] = ("x-remote-user",)
    uid_headers: tuple[str, ...] = ("x-remote-uid",)
    group_headers: tuple[str, ...] = ("x-remote-group",)
    extra_prefixes: tuple[str, ...] = ("x-remote-extra-",)


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """The user that a trusted proxy names."""

    config: FrontProxyConfig
    clock: Clock

    def read(self, credentials: Credentials) -> User | None:
        """The user; None if the request does not come through the proxy. Raises Refused."""
        if not credentials.certificate:
            return None
        found = subject(credentials.certificate)
        if not is_issued_by(credentials.certificate, self.config.authorities):
            return None
        if not found.not_before_s <= self.clock.now_s() <= found.not_after_s:
            raise Refused("the proxy's certificate has expired or is not yet valid")
        if self.config.allowed_names and (found.user is None or found.user.name not in self.config.allowed_names):
            raise Refused("the proxy's certificate has a name that is not allowed")
        name = next((value for header in self.config.user_headers for value in credentials.all(header) if value), "")
        if not name:
            return None
        uid = next((value for header in self.config.uid_headers for value in credentials.all(header) if value), "")
        groups = [value for header in self.config.group_headers for value in credentials.all(header) if value]
        extra: dict[str, tuple[str, ...]] = {}
        for prefix in self.config.extra_prefixes:
            for key, value in credentials.prefixed(prefix):
                key = unquote(key).lower()
                extra[key] = (*extra.get(key, ()), value)
        return User(name, tuple(groups), uid, extra)
