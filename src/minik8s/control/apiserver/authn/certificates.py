"""Client certificates as users: CN the user, O its groups, as in every Kubernetes.

TLS has verified the signature when the connection was made; whether the certificate still is valid, and whether it
was signed for clients rather than for a front proxy, is asked with every request. What a certificate says is kept for
the next request.
"""

import datetime
import functools
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authn.users import CREDENTIAL_ID, User
from minik8s.kit.clock import Clock

_CERTIFICATES_KEPT_MAX = 1024
# As upstream: a certificate may say the user's uid, too (RFC 2253 has no name for the attribute).
_UID = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate says."""

    user: User | None  # None: it names nobody
    not_before_s: float
    not_after_s: float
    certificate: x509.Certificate


@functools.lru_cache(_CERTIFICATES_KEPT_MAX)
def subject(encoded: bytes) -> Subject:
    """Read a verified certificate, DER or PEM. Raises Refused for what TLS let pass and we cannot read."""
    try:
        return _subject(encoded)
    except ValueError as error:
        raise Refused(f"the client certificate cannot be read: {error}") from None


def _subject(encoded: bytes) -> Subject:
    if encoded.startswith(b"-----BEGIN"):
        certificate = x509.load_pem_x509_certificate(encoded)
    else:
        certificate = x509.load_der_x509_certificate(encoded)
    values = {
        oid: [str(each.value) for each in certificate.subject.get_attributes_for_oid(oid)]
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, _UID)
    }
    user = None
    if names := [name for name in values[NameOID.COMMON_NAME] if name]:
        extra = {CREDENTIAL_ID: (f"X509SHA256={certificate.fingerprint(SHA256()).hex()}",)}
        user = User(names[0], tuple(values[NameOID.ORGANIZATION_NAME]), "".join(values[_UID][:1]), extra)
    return Subject(
        user, _seconds(certificate.not_valid_before_utc), _seconds(certificate.not_valid_after_utc), certificate
    )


@functools.lru_cache(_CERTIFICATES_KEPT_MAX)
def is_issued_by(encoded: bytes, authorities: tuple[x509.Certificate, ...]) -> bool:
    """Whether one of these authorities signed it (itself, not through another). Raises Refused."""
    certificate = subject(encoded).certificate
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
            return True
        except (ValueError, TypeError, InvalidSignature):
            continue
    return False


def _seconds(time: datetime.datetime) -> float:
    return time.timestamp()


@dataclass(frozen=True, slots=True)
class CertificateReader:
    """The user of a client certificate."""

    clock: Clock
    authorities: tuple[x509.Certificate, ...] = ()  # who signs clients; empty: whoever TLS trusts

    def read(self, credentials: Credentials) -> User | None:
        """The user; None without a certificate, or with one that names nobody. Raises Refused."""
        if not credentials.certificate:
            return None
        found = subject(credentials.certificate)
        if self.authorities and not is_issued_by(credentials.certificate, self.authorities):
            return None
        if not found.not_before_s <= self.clock.now_s() <= found.not_after_s:
            raise Refused("the client certificate has expired or is not yet valid")
        return found.user
