"""API aggregation: requests for a group and version that another server answers are passed on to it.

Called by `http` for paths nobody serves here, after authentication and authorization. The other server is the endpoint
of a Service that an APIService names, over TLS verified by its caBundle. It learns who calls from X-Remote-* headers,
which it believes because we present the front proxy's certificate. As kube-aggregator: the client's own credentials and
X-Remote-* headers never reach it, its redirects are not followed but 502, what cannot be reached is 503.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.apiservice import APISERVICES, condition
from minik8s.control.apiserver.watchcache import WatchCache
from minik8s.control.apiserver.webhook_client import Looks, WebhookFailed, endpoint_of, trust
from minik8s.kit import tls

CONNECT_TIMEOUT_S = 5.0
CONNECTIONS_MAX = 256
# Hop by hop (RFC 9110), or the client's own affair with us.
_HOP_BY_HOP = "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade"
_DROPPED = frozenset([*_HOP_BY_HOP.split(), "authorization", "content-length", "host", "transfer-encoding"])
_PREFIXES = ("x-remote-", "impersonate-")


class Unavailable(Exception):
    """The other server cannot be asked; the text is what the client is told, as text."""

    def __init__(self, message: str, code: int = 503) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Remote:
    """One group and version that is answered elsewhere."""

    name: str
    group: str
    version: str
    service: Document  # namespace, name, port
    ca_bundle: str
    skips_verification: bool
    is_available: bool
    priority: int

    @property
    def path(self) -> str:
        """Below which its paths are."""
        return f"/apis/{self.group}/{self.version}"


class Aggregator:
    """Knows the APIServices that are answered elsewhere, and asks those who do."""

    def __init__(self, cache: WatchCache, looks: Looks, choose: Callable[[list[Any]], Any]) -> None:
        self.identity: tls.Identity | None = None  # of the front proxy: set by `server`
        self._cache = cache
        self._looks = looks
        self._choose = choose
        self._session: aiohttp.ClientSession | None = None
        self._parsed: dict[str, tuple[int, Remote | None]] = {}  # by name: revision, what it says

    def find(self, group: str, version: str) -> Remote | None:
        """Who answers a group and version, if another server does."""
        entry = self._cache.kind(APISERVICES).entries.get(f"{version}.{group}")
        if entry is None:
            return None
        known = self._parsed.get(entry.name)
        if known is None or known[0] != entry.revision:
            known = self._parsed[entry.name] = entry.revision, _remote(msgspec.json.decode(entry.body))
        return known[1]

    def all(self) -> list[Remote]:
        """All of them, by group."""
        entries = list(self._cache.kind(APISERVICES).entries.values())
        names = [entry.name.partition(".") for entry in entries]
        found = [self.find(group, version) for version, _, group in names]
        return sorted((each for each in found if each), key=lambda each: (each.group, -each.priority, each.version))

    async def ask(
        self,
        remote: Remote,
        user: User,
        *,
        method: str,
        target: URL,
        headers: Iterable[tuple[str, str]] = (),
        body: AsyncIterator[bytes] | None = None,
        client: str = "",
        timeout_s: float | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer of the other server, whose body is still to be read. Raises Unavailable."""
        if any(step in (".", "..") for step in target.path.split("/")):
            raise Unavailable("the path of the request is not clean", 400)
        try:
            host, port = await endpoint_of(self._looks, remote.service, self._choose)
        except WebhookFailed as error:
            raise Unavailable("service unavailable") from error
        name = f"{remote.service['name']}.{remote.service['namespace']}.svc"
        url = URL.build(
            scheme="https",
            host=host,
            port=port,
            path=target.raw_path,
            query_string=target.raw_query_string,
            encoded=True,
        )
        sent = _headers(headers, user, client)
        sent["Host"] = name
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            answer = await self._open().request(
                method,
                url,
                headers=sent,
                data=body,
                ssl=_context(remote.ca_bundle, remote.skips_verification, self.identity),
                server_hostname=name,
                allow_redirects=False,
                timeout=timeout,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, WebhookFailed) as error:
            raise Unavailable(f"error trying to reach service: {str(error) or type(error).__name__}") from error
        if 300 <= answer.status < 400 and answer.headers.get("Location"):
            answer.close()
            raise Unavailable("the backend attempted to redirect this request, which is not permitted", 502)
        return answer

    async def close(self) -> None:
        """Give back the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False)
        return self._session


def passed_back(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers of an answer that reach the client."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _DROPPED)


def identity_headers(user: User) -> list[tuple[str, str]]:
    """Who calls, as a front proxy says it."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    # As upstream: keys may hold what header names may not.
    found += [(f"X-Remote-Extra-{_key(key)}", value) for key, values in user.extra.items() for value in values]
    return found


def _headers(headers: Iterable[tuple[str, str]], user: User, client: str) -> CIMultiDict[str]:
    sent: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        lower = name.lower()
        if lower not in _DROPPED and not lower.startswith(_PREFIXES):
            sent.add(name, value)
    if client:
        before = sent.popall("X-Forwarded-For", [])
        sent["X-Forwarded-For"] = ", ".join([*before, client])
    for name, value in identity_headers(user):
        sent.add(name, value)
    return sent


def _key(text: str) -> str:
    return quote(text, safe="")


def _remote(document: Document) -> Remote | None:
    spec = document.get("spec", {})
    if not spec.get("service") or not spec.get("group"):
        return None  # Answered here; the core group always is.
    found = condition(document)
    return Remote(
        name=document["metadata"]["name"],
        group=spec["group"],
        version=spec["version"],
        service=spec["service"],
        ca_bundle=spec.get("caBundle") or "",
        skips_verification=bool(spec.get("insecureSkipTLSVerify")),
        is_available=found is not None and found["status"] == "True",
        priority=spec.get("versionPriority", 0),
    )


@lru_cache(maxsize=64)
def _context(ca_bundle: str, skips_verification: bool, identity: tls.Identity | None) -> ssl.SSLContext:
    """TLS towards one server. Raises WebhookFailed for a bundle that is none; OSError for our own files."""
    context = trust(ca_bundle)
    if skips_verification:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        context.load_cert_chain(identity.cert_file, identity.key_file)
    return context
