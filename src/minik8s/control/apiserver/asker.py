"""Questions to a webhook that a kubeconfig names: about tokens (`authn`) and about rights (`authz`).

As kube-apiserver: one that does not answer is asked again after 0.5, 0.75, … seconds, five times in all. No redirect is
followed, no cookie kept; an answer has a megabyte.
"""

import asyncio
import random
import ssl
from asyncio import sleep
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

_ANSWER_BYTES_MAX = 1024 * 1024
_ATTEMPTS = 5
_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Whom to ask, and how."""

    url: str
    tls: ssl.SSLContext | None = None  # None: plain HTTP
    token: str = ""
    timeout_s: float = 30.0
    allowed_ttl_s: float = 300.0  # how long a yes is remembered
    denied_ttl_s: float = 30.0  # and anything else
    first_wait_s: float = 0.5  # before it is asked again; half as long again each time


class Unavailable(Exception):
    """No answer, though there may be one later."""


class Asker:
    """Asks one webhook. Opens nothing before the first question."""

    def __init__(self, config: WebhookConfig, *, rng: random.Random) -> None:
        self._config = config
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: bytes) -> Any:
        """The decoded answer. Raises Unavailable."""
        wait_s = self._config.first_wait_s
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._post(question)
            except Unavailable:
                if attempt == _ATTEMPTS:
                    raise
            await sleep(wait_s * (1 + 0.2 * self._rng.random()))
            wait_s *= _FACTOR
        raise AssertionError

    async def close(self) -> None:
        """Give back the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, question: bytes) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._config.token:
            headers["Authorization"] = f"Bearer {self._config.token}"
        tls: ssl.SSLContext | bool = self._config.tls or True
        url = self._config.url
        try:
            async with (
                asyncio.timeout(self._config.timeout_s),
                self._session.post(url, data=question, headers=headers, ssl=tls, allow_redirects=False) as answer,
            ):
                body = await _limited(answer, url)
                if not 200 <= answer.status < 300:
                    raise Unavailable(f'Post "{url}": the webhook answered {answer.status}')
                return msgspec.json.decode(body)
        except TimeoutError:
            raise Unavailable(f'Post "{url}": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f'Post "{url}": {error}') from None


async def _limited(answer: aiohttp.ClientResponse, url: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > _ANSWER_BYTES_MAX:
            raise Unavailable(f'Post "{url}": the webhook answered with more than {_ANSWER_BYTES_MAX} bytes')
    return bytes(body)
