"""The client's way over plain Kubernetes REST: lets our components run against a stock apiserver.

Slower than gRPC and with one thing missing: REST has no progress request, so `request_progress` does nothing and a
reader waits for the next event or the bookmark that comes about once a minute.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec

from minik8s.api import errors
from minik8s.api.request import JSON, Request, Response, WatchEvent

_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
_LINE_BYTES_MAX = 64 * 1024 * 1024


class _Meta(msgspec.Struct):
    resourceVersion: str = ""


class _Object(msgspec.Struct):
    metadata: _Meta | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class RestTransport:
    """A Transport to the API at `url`. Opens nothing before the first call."""

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, bearer_token: str = "", timeout_s: float = 15.0
    ) -> None:
        """`tls` carries the authority and the client's certificate (kit.tls.client_context)."""
        self._url = url.rstrip("/")
        self._tls = tls
        self._headers = {"Authorization": f"Bearer {bearer_token}"} if bearer_token else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def call(self, request: Request) -> Response:
        """One unary call. Raises StatusError: Timeout if the outcome of a write is unknown."""
        try:
            async with self._send(request, self._timeout) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _error_of(error) from error
        if answer.status >= 400:
            raise _status_error(answer.status, body)
        warnings = tuple(answer.headers.getall("Warning", ()))
        return Response(body, _revision(body), answer.status, warnings)

    async def watch(self, request: Request) -> "RestWatch":
        """Open a watch. Raises StatusError if the server refuses it."""
        try:
            # No limit for the whole: the server ends a watch. Silence is ended by sock_read, as bookmarks break it.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout.total, sock_read=180)
            answer = await self._send(request, timeout)
            if answer.status >= 400:
                raise _status_error(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _error_of(error) from error
        return RestWatch(answer)

    async def close(self) -> None:
        """Release connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _send(self, request: Request, timeout: aiohttp.ClientTimeout) -> Any:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls or True, limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, read_bufsize=_LINE_BYTES_MAX // 64
            )
        headers = {"Accept": JSON}
        if request.body:
            headers["Content-Type"] = request.content_type
        return self._session.request(
            _METHODS[request.verb],
            self._url + path_of(request),
            params=_query(request),
            data=request.body or None,
            headers=headers,
            timeout=timeout,
        )


class RestWatch:
    """One open watch: a WatchStream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        pending = bytearray()
        try:
            async for chunk in self._answer.content.iter_any():
                pending += chunk
                *lines, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in lines:
                    if line.strip():
                        yield _event(bytes(line))
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise _error_of(error) from error

    async def request_progress(self) -> None:
        """REST cannot ask; the next bookmark comes by itself."""

    async def close(self) -> None:
        """End it; harmless when it has ended."""
        self._answer.close()


def path_of(request: Request) -> str:
    """The URL's path: /apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE."""
    parts = ["/api", request.version] if not request.group else ["/apis", request.group, request.version]
    if request.namespace:
        parts += ["namespaces", request.namespace]
    parts.append(request.resource)
    parts += [part for part in (request.name, request.subresource) if part]
    return "/".join(parts)


def _query(request: Request) -> Mapping[str, str]:
    return dict(request.query) | ({"watch": "1"} if request.verb == "watch" else {})


def _event(line: bytes) -> WatchEvent:
    event = msgspec.json.decode(line, type=_Event)
    if event.type == "ERROR":
        raise errors.from_status(msgspec.json.decode(event.object))
    return WatchEvent(event.type, bytes(event.object), _revision(bytes(event.object)))


def _revision(body: bytes) -> int:
    """The document's resourceVersion; 0 if it has none, as the Status of a deletion."""
    meta = msgspec.json.decode(body, type=_Object).metadata
    return int(meta.resourceVersion or 0) if meta else 0


def _status_error(code: int, body: bytes) -> errors.StatusError:
    try:
        return errors.from_status(msgspec.json.decode(body, type=dict))
    except msgspec.DecodeError:
        # A proxy in between, or a path no one serves.
        return errors.StatusError("", body.decode(errors="replace")[:1000], code=code)


def _error_of(error: Exception) -> errors.StatusError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        return errors.service_unavailable(f"the API server cannot be reached: {error}")
    return errors.timeout(f"the API server did not answer: {error or type(error).__name__}")
