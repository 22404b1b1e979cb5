"""Signed tokens (RFC 7515, 7518): reading, checking and making compact JWS with RSA and ECDSA keys.

Knows signatures only; what claims mean is the caller's. The key decides which algorithms it may be used with, never
the token: `none`, and HMAC with a public key as its secret, cannot happen.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, tuple[str, str, ec.EllipticCurve]] = {
    "secp256r1": ("ES256", "P-256", ec.SECP256R1()),
    "secp384r1": ("ES384", "P-384", ec.SECP384R1()),
    "secp521r1": ("ES512", "P-521", ec.SECP521R1()),
}
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS_MIN = 2048


class BadToken(ValueError):
    """Bytes that are no token, or a signature that does not hold. The message never holds the token."""


class BadKey(ValueError):
    """A key that cannot be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that has been taken apart, but not believed."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """What the token says it is signed by."""
        return text(self.header, "alg")

    @property
    def key_id(self) -> str:
        """Which key it says has signed it, or empty."""
        return text(self.header, "kid")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and what it is called in headers."""

    id: str
    key: PublicKey
    algorithms: tuple[str, ...]

    def verify(self, token: Token) -> None:
        """Raises BadToken unless this key has signed it."""
        if token.algorithm not in self.algorithms:
            raise BadToken("the algorithm is not one of the key's")
        digest = _HASHES[token.algorithm[2:]]
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                pad: padding.AsymmetricPadding = padding.PKCS1v15()
                if token.algorithm.startswith("PS"):
                    pad = padding.PSS(padding.MGF1(digest), digest.digest_size)
                self.key.verify(token.signature, token.signed, pad, digest)
                return
            size = (self.key.curve.key_size + 7) // 8
            if len(token.signature) != 2 * size:
                raise BadToken("invalid signature")
            r, s = (int.from_bytes(half) for half in (token.signature[:size], token.signature[size:]))
            self.key.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(digest))
        except InvalidSignature:
            raise BadToken("invalid signature") from None

    def jwk(self) -> dict[str, str]:
        """As a JSON Web Key (RFC 7517)."""
        common = {"use": "sig", "kid": self.id, "alg": self.algorithms[0]}
        if isinstance(self.key, rsa.RSAPublicKey):
            numbers = self.key.public_numbers()
            return {"kty": "RSA", **common, "n": _encoded_int(numbers.n), "e": _encoded_int(numbers.e)}
        size, point = (self.key.curve.key_size + 7) // 8, self.key.public_numbers()
        curve = _CURVES[self.key.curve.name][1]
        return {
            "kty": "EC",
            **common,
            "crv": curve,
            "x": _encoded(point.x.to_bytes(size)),
            "y": _encoded(point.y.to_bytes(size)),
        }


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    key: PrivateKey
    public: VerificationKey

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The compact token of these claims."""
        algorithm = self.public.algorithms[0]
        header = msgspec.json.encode({"alg": algorithm, "kid": self.public.id})
        signed = f"{_encoded(header)}.{_encoded(msgspec.json.encode(claims))}".encode()
        digest = _HASHES[algorithm[2:]]
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(signed, padding.PKCS1v15(), digest)
        else:
            size = (self.key.curve.key_size + 7) // 8
            r, s = decode_dss_signature(self.key.sign(signed, ec.ECDSA(digest)))
            signature = r.to_bytes(size) + s.to_bytes(size)
        return f"{signed.decode()}.{_encoded(signature)}"


def parse(token: str) -> Token:
    """Take a compact token apart. Raises BadToken."""
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise BadToken("it has not the form of a signed token")
    header, claims = (_object(part) for part in parts[:2])
    if "crit" in header or header.get("b64") is False:
        raise BadToken("it demands extensions that are not supported")
    return Token(header, claims, f"{parts[0]}.{parts[1]}".encode(), _decoded(parts[2]))


def verify(token: Token, keys: Sequence[VerificationKey]) -> None:
    """Raises BadToken unless one of the keys has signed it: that of its name, or any if it names none."""
    named = [key for key in keys if token.key_id in ("", key.id)]
    for key in named:
        try:
            return key.verify(token)
        except BadToken:
            if len(named) == 1:
                raise
    raise BadToken("no key of ours has signed it")


def text(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is text; anything else is empty."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A claim that is a time; None if there is none. Raises BadToken if it is something else."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -(2**53) < value < 2**53:
        raise BadToken(f"{name} is not a time")
    return float(value)


def texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A claim that is a text or a list of texts. Raises BadToken if it is something else."""
    value = claims.get(name)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise BadToken(f"{name} is not text")
    return tuple(values)


def check_times(
    claims: Mapping[str, Any], now_s: float, leeway_s: float, *, not_before_leeway_s: float | None = None
) -> None:
    """Raises BadToken if it has expired, is not valid yet, or never expires."""
    expires_s, not_before_s = seconds(claims, "exp"), seconds(claims, "nbf")
    if expires_s is None:
        raise BadToken("it does not expire")
    if now_s > expires_s + leeway_s:
        raise BadToken("token has expired")
    early_s = leeway_s if not_before_leeway_s is None else not_before_leeway_s
    if not_before_s is not None and now_s + early_s < not_before_s:
        raise BadToken("token is not valid yet")


def generate() -> bytes:
    """A new ECDSA P-256 private key, PEM (PKCS #8). An RSA key would take 100 times as long to make."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_signing_key(file: Path) -> SigningKey:
    """The private key in a PEM file. Raises OSError, BadKey."""
    data = file.read_bytes()
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{file} holds no private key: {error}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise BadKey(f"{file}: only RSA and ECDSA keys sign tokens")
    try:
        return SigningKey(key, verification_key(key.public_key()))
    except BadKey as error:
        raise BadKey(f"{file}: {error}") from None


def read_verification_key(file: Path) -> VerificationKey:
    """The public key in a PEM file: of a public key, a private one, or a certificate. Raises OSError, BadKey."""
    data = file.read_bytes()
    if b"PRIVATE KEY-----" in data:
        return read_signing_key(file).public
    try:
        if b"BEGIN CERTIFICATE" in data:
            return verification_key(x509.load_pem_x509_certificate(data).public_key())
        return verification_key(serialization.load_pem_public_key(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{file} holds no public key: {error}") from None


def verification_key(key: object, id_: str = "", algorithms: Sequence[str] = ()) -> VerificationKey:
    """A public key as one that verifies. Its name is made of its bytes, as Kubernetes does. Raises BadKey."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _RSA_BITS_MIN:
            raise BadKey(f"RSA keys have at least {_RSA_BITS_MIN} bits")
        possible: tuple[str, ...] = _RSA_ALGORITHMS
        usual = possible[:1]
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        possible = usual = (_CURVES[key.curve.name][0],)
    else:
        raise BadKey("only RSA keys and those on the curves P-256, P-384 and P-521 are supported")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    name = id_ or _encoded(hashlib.sha256(der).digest())
    return VerificationKey(name, key, tuple(each for each in algorithms or usual if each in possible))


def from_jwk(document: Mapping[str, Any]) -> VerificationKey:
    """The key of a JSON Web Key. Raises BadKey for those that are not for signatures or not supported."""
    if text(document, "use") not in ("", "sig"):
        raise BadKey("the key is not for signatures")
    try:
        numbers = {name: int.from_bytes(_decoded(text(document, name))) for name in ("n", "e", "x", "y")}
        if text(document, "kty") == "RSA":
            key: PublicKey = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
            allowed = [text(document, "alg")] if text(document, "alg") else list(_RSA_ALGORITHMS)
        elif text(document, "kty") == "EC":
            curve = next((each[2] for each in _CURVES.values() if each[1] == text(document, "crv")), None)
            if curve is None:
                raise BadKey("unknown curve")
            key = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], curve).public_key()
            allowed = []
        else:
            raise BadKey("unknown type of key")
    except BadKey:
        raise
    except ValueError as error:
        raise BadKey(str(error)) from None
    return verification_key(key, text(document, "kid"), allowed)


def _object(part: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(_decoded(part))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadToken("a part of it is not JSON") from None
    if not isinstance(value, dict):
        raise BadToken("a part of it is not an object")
    return value


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded_int(number: int) -> str:
    return _encoded(number.to_bytes((number.bit_length() + 7) // 8))


def _decoded(part: str) -> bytes:
    if "=" in part:
        raise BadToken("base64url of tokens has no padding")
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("a part of it is not base64url") from None
