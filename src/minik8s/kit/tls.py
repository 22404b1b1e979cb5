"""Certificates: a cluster's own authority, what it issues, and TLS contexts made from files.

Keys are ECDSA P-256 (an RSA key takes 100 times as long to make); files are 0600. As in Kubernetes a client
certificate names its user in CN and the user's groups in O.
"""

import datetime
import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Identity:
    """Paths of one party's certificate and key, and of the authority it trusts peers by."""

    cert_file: Path
    key_file: Path
    ca_file: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """PEM bytes (certificate, key, authority), as gRPC wants them. Raises OSError."""
        return self.cert_file.read_bytes(), self.key_file.read_bytes(), self.ca_file.read_bytes()


class Authority:
    """A certificate authority kept in `directory` as NAME.crt and NAME.key; made there on first use."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self.cert_file = directory / f"{name}.crt"
        self._key_file = directory / f"{name}.key"
        if self.cert_file.exists() and self._key_file.exists():
            self._cert = x509.load_pem_x509_certificate(self.cert_file.read_bytes())
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._key = key
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"minik8s-{name}")])
        builder = _builder(subject, subject, self._key.public_key(), days=3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(ca=True), critical=True)
        self._cert = builder.sign(self._key, hashes.SHA256())
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._key_file, _key_pem(self._key))
        write_private(self.cert_file, self._cert.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, file_name: str, *, user: str, groups: Iterable[str] = (), hosts: Iterable[str] = (), days: int = 365
    ) -> Identity:
        """A certificate for `user` in `groups`, valid as a server for `hosts` (names or addresses).

        Files are `directory`/file_name.{crt,key}; an existing pair is kept.
        """
        identity = Identity(self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key", self.cert_file)
        if identity.cert_file.exists() and identity.key_file.exists():
            return identity
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        builder = _builder(x509.Name(names), self._cert.subject, key.public_key(), days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if alternatives := [_general_name(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        cert = builder.sign(self._key, hashes.SHA256())
        write_private(identity.key_file, _key_pem(key))
        write_private(identity.cert_file, cert.public_bytes(serialization.Encoding.PEM))
        return identity


def server_context(identity: Identity, *, require_client: bool = False) -> ssl.SSLContext:
    """A TLS 1.2+ server that verifies any client certificate, and insists on one if asked. Raises OSError, SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(identity.ca_file))
    context.load_cert_chain(identity.cert_file, identity.key_file)
    context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    return context


def client_context(identity: Identity) -> ssl.SSLContext:
    """A TLS 1.2+ client that presents `identity` and verifies the server. Raises OSError, SSLError."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(identity.ca_file))
    context.load_cert_chain(identity.cert_file, identity.key_file)
    return context


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` atomically with a file only its owner can read. Raises OSError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    # Back-dated an hour, as kubeadm does, so that a machine whose clock is slow still accepts it.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
