"""An OpenID issuer's keys, fetched over TLS when they are needed and kept.

Called by `oidc`. Every fetch is limited in time and size, and made at most every ten seconds, whatever tokens say;
redirects are not followed. Keys are fetched anew when a token names one that is not known, and when they are an hour
old; while the issuer does not answer, those that were known go on counting.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from minik8s.control.apiserver.authn.readers import Refused
from minik8s.kit import jws
from minik8s.kit.clock import Clock
from minik8s.kit.jws import BadKey, VerificationKey
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_TIMEOUT_S = 5.0
_BYTES_MAX = 1024 * 1024
_ATTEMPT_INTERVAL_S = 10.0
_AGE_S_MAX = 3600.0


class _Unusable(Exception):
    """An answer that holds no keys."""


class Issuer:
    """The keys of one issuer."""

    def __init__(self, url: str, *, discovery_url: str = "", ca_pem: str = "", clock: Clock) -> None:
        """`ca_pem`: authorities its certificate is checked by; empty: the machine's. Raises SSLError."""
        self.url = url
        self._discovery_url = discovery_url or f"{url.rstrip('/')}/.well-known/openid-configuration"
        self._context = ssl.create_default_context(cadata=ca_pem or None)
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at_s = -_AGE_S_MAX
        self._tried_at_s = -_AGE_S_MAX
        self._fetching = asyncio.Lock()

    async def keys(self, key_id: str) -> Sequence[VerificationKey]:
        """The keys, with that of a name if there is one. Raises Refused when none could be had yet."""
        if not self._are_good_for(key_id):
            async with self._fetching:
                if not self._are_good_for(key_id) and self._elapsed_s(self._tried_at_s) >= _ATTEMPT_INTERVAL_S:
                    await self._refresh()
        if not self._keys:
            raise Refused("oidc: the issuer's keys cannot be had")
        return self._keys

    def _are_good_for(self, key_id: str) -> bool:
        is_known = any(key_id in ("", key.id) for key in self._keys)
        return is_known and self._elapsed_s(self._fetched_at_s) < _AGE_S_MAX

    def _elapsed_s(self, since_s: float) -> float:
        return self._clock.monotonic_s() - since_s

    async def _refresh(self) -> None:
        self._tried_at_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                self._keys = await self._fetch()
            self._fetched_at_s = self._clock.monotonic_s()
        except (aiohttp.ClientError, OSError, TimeoutError, _Unusable) as error:
            log.warning("cannot fetch the keys of an issuer", issuer=self.url, error=str(error) or "timeout")

    async def _fetch(self) -> tuple[VerificationKey, ...]:
        connector = aiohttp.TCPConnector(ssl=self._context)
        async with aiohttp.ClientSession(connector=connector) as session:
            configuration = await _document(session, self._discovery_url)
            if configuration.get("issuer") != self.url:
                raise _Unusable("the discovery document is of another issuer")
            jwks = await _document(session, str(configuration.get("jwks_uri", "")))
        keys = []
        for document in jwks.get("keys") or ():
            try:
                keys.append(jws.from_jwk(document))
            except BadKey:
                continue  # Keys for other uses stand in the same set.
        if not keys:
            raise _Unusable("there are no usable keys")
        return tuple(keys)


async def _document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    if not url.startswith("https://"):
        raise _Unusable(f"{url!r} is no https URL")
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise _Unusable(f"{url}: {response.status}")
        body = bytearray()
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += chunk
            if len(body) > _BYTES_MAX:
                raise _Unusable(f"{url}: more than {_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Unusable(f"{url}: {error}") from None
