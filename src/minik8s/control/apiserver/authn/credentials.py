"""What a request brings to say who it is from. Made by `http` and `grpc`, read by `authenticator`. Pure."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TOKEN_BYTES_MAX = 64 * 1024  # No header of ours may be longer; what gRPC lets through is cut off here.
_WEBSOCKET_PREFIX = "base64url.bearer.authorization.k8s.io."


@dataclass(frozen=True, slots=True)
class Credentials:
    """A verified client certificate, if any, and the headers in their order, names in lower case."""

    certificate: bytes = b""  # DER or PEM; TLS has checked that one of our authorities signed it
    headers: Sequence[tuple[str, str]] = ()

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]

    def first(self, name: str) -> str:
        """The first value of a header, or empty."""
        return next(iter(self.all(name)), "")

    def prefixed(self, prefix: str) -> Iterator[tuple[str, str]]:
        """(rest of the name, value) of the headers whose names begin with `prefix`."""
        return ((key[len(prefix) :], value) for key, value in self.headers if key.startswith(prefix))


def bearer_token(credentials: Credentials) -> str | None:
    """The token of the Authorization header or, as browsers cannot set it, of a WebSocket's subprotocols.

    None if there is none; empty if there is something that is no token: that is refused, never anonymous.
    """
    if given := credentials.first("authorization"):
        scheme, _, token = given.strip().partition(" ")
        token = token.strip()
        return token if scheme.lower() == "bearer" and len(token) <= TOKEN_BYTES_MAX else ""
    offered = [each.strip() for value in credentials.all("sec-websocket-protocol") for each in value.split(",")]
    for protocol in offered:
        if protocol.startswith(_WEBSOCKET_PREFIX):
            return _decoded(protocol.removeprefix(_WEBSOCKET_PREFIX))
    return None


def _decoded(text: str) -> str:
    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
