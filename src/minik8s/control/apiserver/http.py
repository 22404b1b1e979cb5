"""The REST face: HTTP requests in, answers out. The only file that knows aiohttp's server.

Each request: who is it (`authn`) → what is it (`routes`) → `handler` → how should it look (`rest`). Failures of any
step are a Status document. Limits: a body of 3 MB (413), a watch's queue (see `watchers`); a client that reads slowly
stalls only its own stream.
"""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request, WatchEvent
from minik8s.control.apiserver import authn, protobuf, rest, routes
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.documents import Documents
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.logs import KubeletClient
from minik8s.control.apiserver.metrics import Metrics
from minik8s.control.apiserver.versions import ConvertedWatcher
from minik8s.control.apiserver.watchers import Watcher
from minik8s.kit import health, ids
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

BODY_BYTES_MAX = 3 * 1024 * 1024
_GZIP_BYTES_MIN = 128 * 1024
_HEALTH_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_BROWSERS = ("curl/", "Wget/", "Mozilla/")

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Parts:
    """What the REST face serves."""

    api: Api
    authenticator: Authenticator
    documents: Documents
    kubelets: KubeletClient
    metrics: Metrics
    checks: Mapping[str, health.Check]
    registry: CollectorRegistry


def application(parts: Parts, *, clock: Clock, rng: random.Random) -> web.Application:
    """The aiohttp application."""
    face = _Face(parts, clock, rng)
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[face.frame])
    app.add_routes(health.routes(parts.checks, parts.registry))
    app.router.add_route("*", "/{path:.*}", face.serve)
    return app


class _Face:
    def __init__(self, parts: Parts, clock: Clock, rng: random.Random) -> None:
        self._parts = parts
        self._clock = clock
        self._rng = rng

    @web.middleware
    async def frame(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Turn failures into a Status, and add the headers every answer has."""
        try:
            if request.path in _HEALTH_PATHS:
                await self._authorize_path(await self._user(request), request)
            answer = await handler(request)
        except StatusError as error:
            answer = _status(error)
        except web.HTTPRequestEntityTooLarge:
            answer = _status(
                StatusError("RequestEntityTooLarge", f"Request entity too large: limit is {BODY_BYTES_MAX}")
            )
        except web.HTTPException as error:
            answer = _status(StatusError("", error.reason, code=error.status))
        except Exception as error:  # our bug; the client still gets a Status, and the log the traceback
            log.error("request failed", method=request.method, path=request.path, exc_info=True)
            answer = _status(errors.internal(f"{type(error).__name__}, see the apiserver's log"))
        if not answer.prepared:
            self._add_headers(answer)
        return answer

    async def serve(self, http: web.Request) -> web.StreamResponse:
        """Any path but the health checks and metrics."""
        user = await self._user(http)
        # Of a parameter given twice the first counts, as in Go.
        query = {name: http.query[name] for name in http.query}
        request = routes.parse(http.method, http.path, query)
        if request is None:
            return await self._document(http, user)
        started_s = self._clock.monotonic_s()
        try:
            answer = await self._resource(http, user, request)
        except StatusError as error:
            self._parts.metrics.answered(request, error.code, self._clock.monotonic_s() - started_s)
            raise self._located(error, http.path) from None
        is_long = request.verb == "watch" or request.subresource == "log"
        self._parts.metrics.answered(request, answer.status, None if is_long else self._clock.monotonic_s() - started_s)
        return answer

    async def _document(self, http: web.Request, user: User) -> web.Response:
        """Discovery, OpenAPI, /version."""
        await self._authorize_path(user, http)
        if http.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        found = self._parts.documents.find(http.path, http.headers.get("Accept", ""))
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        if found.etag and http.headers.get("If-None-Match") == found.etag:
            return web.Response(status=304, headers={"ETag": found.etag})
        answer = web.Response(body=found.body, headers={"Content-Type": found.content_type, "Vary": "Accept"})
        if found.etag:
            answer.headers["ETag"] = found.etag
        if found.is_immutable:
            answer.headers["Cache-Control"] = "public, immutable, max-age=31536000"
        return answer

    async def _user(self, http: web.Request) -> User:
        """Who is calling. Raises StatusError Unauthorized; Forbidden if they may not act as whom they say."""
        return await self._parts.authenticator.authenticate(_credentials(http))

    async def _authorize_path(self, user: User, http: web.Request) -> None:
        """Raises StatusError Forbidden. For paths that are no resource."""
        await self._parts.api.authorize(Attributes(user, http.method.lower(), path=http.path))

    async def _resource(self, http: web.Request, user: User, request: Request) -> web.StreamResponse:
        handler = self._parts.api.as_user(user)
        if request.subresource == "log":
            return await self._log(http, user, request)
        shape = rest.negotiate(http.headers.get("Accept", ""))
        if request.verb == "watch":
            return await self._watch(http, user, request, shape)
        if http.can_read_body:
            content_type = http.headers.get("Content-Type") or JSON
            body = await http.read()
            if body and protobuf.is_protobuf(content_type) and request.verb != "patch":
                body, content_type = protobuf.to_json(body), JSON
            request = replace(request, body=body, content_type=content_type)
        response = await handler.call(request)
        resource = self._parts.api.find(request.group, request.version, request.resource)
        body = rest.render(shape, resource, request, response.body, self._clock.now_s())
        answer = await _respond(http, body, response.code, shape.content_type)
        _warn(answer, response.warnings)
        return answer

    async def _watch(self, http: web.Request, user: User, request: Request, shape: rest.Shape) -> web.StreamResponse:
        handler = self._parts.api.as_user(user)
        line = rest.event_renderer(shape, await handler.resolve(request), request, self._clock.now_s)
        try:
            watcher = await handler.watch(request)
        except StatusError as error:
            if error.reason != "Expired":
                raise
            # As upstream: that history is gone is an event of the watch.
            return web.Response(body=line(_error_event(error)), headers={"Content-Type": shape.content_type})
        answer = web.StreamResponse(headers={"Content-Type": shape.content_type})
        self._add_headers(answer)
        answer.enable_chunked_encoding()
        try:
            with self._parts.metrics.long_running.labels("watch").track_inprogress():
                await answer.prepare(http)
                async for chunk in _chunks(watcher, line):
                    await answer.write(chunk)
                await answer.write_eof()
        except ConnectionError:
            log.debug("watch client left", path=http.path)
        finally:
            await watcher.close()
        return answer

    async def _log(self, http: web.Request, user: User, request: Request) -> web.StreamResponse:
        api = self._parts.api
        await api.as_user(user).resolve(request)
        async with self._parts.kubelets.open_log(api.as_user(authn.SERVER), request) as chunks:
            answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
            self._add_headers(answer)
            answer.enable_chunked_encoding()
            try:
                with self._parts.metrics.long_running.labels("log").track_inprogress():
                    await answer.prepare(http)
                    async for chunk in chunks:
                        await answer.write(chunk)
                    await answer.write_eof()
            except ConnectionError:
                log.debug("log client left", path=http.path)
            return answer

    def _add_headers(self, answer: web.StreamResponse) -> None:
        answer.headers["Audit-Id"] = ids.new_uuid(self._rng)
        answer.headers.setdefault("Cache-Control", "no-cache, private")

    def _located(self, error: StatusError, path: str) -> StatusError:
        """As upstream, paths of groups and versions that are not served are no API at all."""
        if error.reason == "NotFound" and not error.name:
            group_version = routes.group_version(path)
            if group_version and not self._parts.documents.serves(group_version):
                return StatusError("", "404 page not found", code=404)
        return error


def _credentials(http: web.Request) -> Credentials:
    connection = http.get_extra_info("ssl_object")
    return Credentials(
        (connection and connection.getpeercert(binary_form=True)) or b"",
        [(name.lower(), value) for name, value in http.headers.items()],
    )


async def _chunks(watcher: Watcher | ConvertedWatcher, line: Callable[[WatchEvent], bytes]) -> AsyncIterator[bytes]:
    """Lines of events, those that are there at once in one piece. A failure is the last line."""
    try:
        async for events in watcher.batches():
            yield b"".join(map(line, events))
    except StatusError as error:
        yield line(_error_event(error))


def _error_event(error: StatusError) -> WatchEvent:
    return WatchEvent("ERROR", _encode(error.status()), 0)


async def _respond(http: web.Request, body: bytes, code: int, content_type: str) -> web.Response:
    """An answer, indented for people and compressed if it is large."""
    agent = http.headers.get("User-Agent", "")
    if http.query.get("pretty") in ("1", "true") or ("pretty" not in http.query and agent.startswith(_BROWSERS)):
        body = msgspec.json.format(body, indent=2) + b"\n"
    answer = web.Response(body=body, status=code, headers={"Content-Type": content_type})
    if len(body) > _GZIP_BYTES_MIN and "gzip" in http.headers.get("Accept-Encoding", ""):
        # zlib lets go of the interpreter lock; other requests are served meanwhile.
        answer.body = await asyncio.to_thread(gzip.compress, body, 1)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
    return answer


def _status(error: StatusError) -> web.Response:
    if error.code == 404 and error.message == "404 page not found":
        return web.Response(status=404, text="404 page not found\n")
    headers = {"Content-Type": JSON}
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    answer = web.Response(body=_encode(error.status()), status=error.code, headers=headers)
    _warn(answer, error.warnings)
    return answer


def _warn(answer: web.Response, warnings: Iterable[str]) -> None:
    for warning in warnings:
        answer.headers.add("Warning", f'299 - "{_quoted(warning)}"')


def _quoted(text: str) -> str:
    """A quoted-string of RFC 7230, without what a header cannot hold."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(char if char.isprintable() else " " for char in escaped)
