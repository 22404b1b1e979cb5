"""The REST face: HTTP requests in, answers out. With `answers`, the only file that knows aiohttp's server.

Each request: who is it (`authn`) → what is it (`routes`) → is there room (`calls`) → `handler` → how should it look
(`rest`). Failures of any step are a Status document. Limits: a body of 3 MB (413), those of `calls`, a watch's queue
(see `watchers`); a client that reads slowly stalls only its own stream.
"""

import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request, WatchEvent
from minik8s.control.apiserver import answers, authn, protobuf, rest, routes
from minik8s.control.apiserver.audit.event import Origin
from minik8s.control.apiserver.authn import ANONYMOUS, User
from minik8s.control.apiserver.authn.authenticator import Authenticator
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.apiserver.authz.attributes import Attributes, of_request
from minik8s.control.apiserver.calls import Call, Calls
from minik8s.control.apiserver.documents import Documents
from minik8s.control.apiserver.extensions.aggregation import Aggregator, Remote, Unavailable, passed_back
from minik8s.control.apiserver.freshness import Freshness
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.lines import LineCache
from minik8s.control.apiserver.logs import KubeletClient
from minik8s.control.apiserver.metrics import Metrics
from minik8s.control.apiserver.proxies import Proxies
from minik8s.control.apiserver.versions import ConvertedWatcher
from minik8s.control.apiserver.watchers import Watcher
from minik8s.kit import health, ids
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)

BODY_BYTES_MAX = 3 * 1024 * 1024
_IS_AUDIT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AUDIT_ID = web.RequestKey("audit_id", str)
_HEALTH = tuple(f"/{name}" for name in health.PROBES)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the REST face serves."""

    api: Api
    authenticator: Authenticator
    calls: Calls
    documents: Documents
    aggregator: Aggregator
    kubelets: KubeletClient
    proxies: Proxies
    metrics: Metrics
    checks: Mapping[str, health.Check]
    registry: CollectorRegistry


def application(parts: Parts, *, clock: Clock, rng: random.Random) -> web.Application:
    """The aiohttp application."""
    face = _Face(parts, clock, rng)
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[face.frame])
    app.router.add_route("*", "/{path:.*}", face.serve)
    return app


class _Face:
    def __init__(self, parts: Parts, clock: Clock, rng: random.Random) -> None:
        self._parts = parts
        self._clock = clock
        self._freshness = Freshness(clock)
        self._rng = rng
        self._lines = LineCache()

    @web.middleware
    async def frame(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Turn failures into a Status, and add the headers every answer has."""
        http = request  # aiohttp insists on the name of the parameter; here a Request is another thing.
        # As upstream: who calls may choose the id by which audit knows the request.
        chosen = http.headers.get("Audit-ID", "")
        http[_AUDIT_ID] = chosen if _IS_AUDIT_ID.fullmatch(chosen) else ids.new_uuid(self._rng)
        try:
            answer = await handler(http)
        except StatusError as error:
            answer = answers.failure(http, self._located(error, http.path))
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {BODY_BYTES_MAX}"
            answer = answers.failure(http, StatusError("RequestEntityTooLarge", message))
        except web.HTTPException as error:
            answer = answers.failure(http, StatusError("", error.reason, code=error.status))
        except Exception as error:  # our bug; the client still gets a Status, and the log the traceback
            log.error("request failed", method=http.method, path=http.path, exc_info=True)
            answer = answers.failure(http, errors.internal(f"{type(error).__name__}, see the apiserver's log"))
        if not answer.prepared:
            self._add_headers(http, answer)
        return answer

    async def serve(self, http: web.Request) -> web.StreamResponse:
        """Any path."""
        origin, audit_id = _origin(http), http[_AUDIT_ID]
        # Of a parameter given twice the first counts, as in Go.
        query = {name: http.query[name] for name in http.query}
        request = routes.parse(http.method, http.path, query)
        try:
            user = await self._user(http)
        except StatusError as error:
            self._parts.calls.refused(_attributes(ANONYMOUS, http, request), origin, audit_id, error)
            raise
        attributes = _attributes(user, http, request)
        async with self._parts.calls.serving(attributes, request, origin, audit_id) as call:
            answer: web.StreamResponse
            if remote := self._remote(http.path):
                await self._parts.api.authorize(attributes, call.annotations)
                answer = await self._pass_on(http, user, remote)
            elif request is None:
                answer = await self._document(http, attributes, call)
            else:
                answer = await self._resource(http, user, request, call)
            call.code = answer.status
        return answer

    async def _document(self, http: web.Request, attributes: Attributes, call: Call) -> web.Response:
        """Discovery, OpenAPI, /version, health, metrics."""
        await self._parts.api.authorize(attributes, call.annotations)
        if http.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        if http.path.startswith(_HEALTH):
            query = {name: http.query.getall(name) for name in http.query}
            if probe := health.examine(http.path, query, self._parts.checks, is_public=True):
                return web.Response(status=probe.code, text=probe.text, headers={"X-Content-Type-Options": "nosniff"})
        if http.path == "/metrics":
            return web.Response(
                body=generate_latest(self._parts.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
            )
        found = self._parts.documents.find(http.path, http.headers.get("Accept", ""))
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        is_known = self._freshness.is_known(http.path, found, http.headers)
        headers = self._freshness.headers(http.path, found, is_known=is_known)
        if is_known:
            return web.Response(status=304, headers=headers)
        return web.Response(body=found.body, headers={**headers, "Content-Type": found.content_type})

    def _remote(self, path: str) -> Remote | None:
        """Who answers a path, if another server does. What is served here stays so."""
        steps = path.split("/", 4)
        if len(steps) < 4 or steps[1] != "apis" or self._parts.documents.serves(f"{steps[2]}/{steps[3]}"):
            return None
        return self._parts.aggregator.find(steps[2], steps[3])

    async def _pass_on(self, http: web.Request, user: User, remote: Remote) -> web.StreamResponse:
        """Let another server answer."""
        body = http.content.iter_any() if http.can_read_body else None
        try:
            found = await self._parts.aggregator.ask(
                remote,
                user,
                method=http.method,
                target=http.rel_url,
                headers=http.headers.items(),
                body=body,
                client=http.remote or "",
            )
        except Unavailable as error:
            return web.Response(status=error.code, text=f"{error}\n", headers={"X-Content-Type-Options": "nosniff"})
        return await self._relay(http, found)

    async def _relay(self, http: web.Request, found: aiohttp.ClientResponse) -> web.StreamResponse:
        """Another server's answer, as it comes."""
        async with found:
            answer = web.StreamResponse(status=found.status, headers=passed_back(found.headers))
            self._add_headers(http, answer)
            try:
                await answer.prepare(http)
                async for chunk in found.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
            except (ConnectionError, aiohttp.ClientError) as error:
                log.debug("a passed on answer broke off", path=http.path, error=str(error))
        return answer

    async def _user(self, http: web.Request) -> User:
        """Who is calling. Raises StatusError Unauthorized; Forbidden if they may not act as whom they say."""
        return await self._parts.authenticator.authenticate(_credentials(http))

    async def _resource(self, http: web.Request, user: User, request: Request, call: Call) -> web.StreamResponse:
        handler = self._parts.api.as_user(user)
        if request.subresource == "log":
            return await self._log(http, user, request)
        if request.subresource == "proxy":
            return await self._proxy(http, user, request)
        shape = rest.negotiate(http.headers.get("Accept", ""), is_watch=request.verb == "watch")
        if request.verb == "watch":
            return await self._watch(http, user, request, shape)
        if http.can_read_body:
            content_type = http.headers.get("Content-Type") or JSON
            body = await http.read()
            if body and protobuf.is_protobuf(content_type) and request.verb != "patch":
                body, content_type = protobuf.to_json(body), JSON
            agent = http.headers.get("User-Agent", "")
            request = replace(request, body=body, content_type=content_type, user_agent=agent)
            call.received(request)
        response = await handler.call(request)
        call.answered(response.code, response.body)
        resource = self._parts.api.find(request.group, request.version, request.resource)
        body = rest.render(shape, resource, request, response.body, self._clock.now_s())
        answer = await answers.document(http, body, response.code, shape)
        for warning in response.warnings:
            answers.warn(answer, warning)
        return answer

    async def _watch(self, http: web.Request, user: User, request: Request, shape: rest.Shape) -> web.StreamResponse:
        handler = self._parts.api.as_user(user)
        resource = await handler.resolve(request)
        line = rest.event_renderer(shape, resource, request, self._clock.now_s, self._lines)
        try:
            watcher = await handler.watch(request)
        except StatusError as error:
            if error.reason != "Expired":
                raise
            # As upstream: that history is gone is an event of the watch.
            return web.Response(body=line(answers.error_event(error)), headers={"Content-Type": shape.content_type})
        sent = self._parts.metrics.watch_events.labels(request.group, request.version, request.resource)
        try:
            chunks = _chunks(watcher, line, sent.inc)
            return await self._stream(http, shape.content_type, chunks, warning=resource.deprecation)
        finally:
            await watcher.close()

    async def _log(self, http: web.Request, user: User, request: Request) -> web.StreamResponse:
        api = self._parts.api
        await api.as_user(user).resolve(request)
        async with self._parts.kubelets.open_log(api.as_user(authn.SERVER), request) as chunks:
            return await self._stream(http, "text/plain", chunks)

    async def _proxy(self, http: web.Request, user: User, request: Request) -> web.StreamResponse:
        """Let what runs in the cluster answer."""
        api = self._parts.api
        place = f"namespaces/{request.namespace}/{request.resource}" if request.namespace else request.resource
        prefix = f"/api/{request.version}/{place}/{request.name}/proxy"
        if not http.path.startswith(prefix):
            raise errors.unknown_path()
        kind = {"pods": "Pod", "services": "Service"}.get(request.resource, "Node")
        options = {"kind": f"{kind}ProxyOptions", "apiVersion": "v1", "path": http.path.removeprefix(prefix)}
        await api.as_user(user).connect(request, options)
        found = await self._parts.proxies.ask(
            api.as_user(authn.SERVER),
            request,
            method=http.method,
            path=http.path.removeprefix(prefix) or "/",
            query=http.query_string,
            headers=http.headers.items(),
            body=http.content.iter_any() if http.can_read_body else None,
            client=http.remote or "",
        )
        return await self._relay(http, found)

    async def _stream(
        self, http: web.Request, content_type: str, chunks: AsyncIterator[bytes], *, warning: str = ""
    ) -> web.StreamResponse:
        """Send what comes, until it ends or the client leaves."""
        answer = web.StreamResponse(headers={"Content-Type": content_type})
        self._add_headers(http, answer)
        if warning:
            answers.warn(answer, warning)
        answer.enable_chunked_encoding()
        try:
            await answer.prepare(http)
            async for chunk in chunks:
                await answer.write(chunk)
            await answer.write_eof()
        except ConnectionError:
            log.debug("client of a stream left", path=http.path)
        return answer

    def _add_headers(self, http: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["Audit-Id"] = http[_AUDIT_ID]
        answer.headers.setdefault("Cache-Control", "no-cache, private")
        if self._parts.calls.is_draining:
            answer.force_close()  # The client's next request goes to another apiserver.

    def _located(self, error: StatusError, path: str) -> StatusError:
        """As upstream, paths of groups and versions that are not served are no API at all."""
        if error.reason == "NotFound" and not error.name:
            group_version = routes.group_version(path)
            if group_version and not self._parts.documents.serves(group_version):
                return StatusError("", "404 page not found", code=404)
        return error


def _attributes(user: User, http: web.Request, request: Request | None) -> Attributes:
    return of_request(user, request) if request else Attributes(user, http.method.lower(), path=http.path)


def _origin(http: web.Request) -> Origin:
    """As upstream, the addresses that proxies say they forward for come first."""
    forwarded = [each.strip() for each in http.headers.get("X-Forwarded-For", "").split(",") if each.strip()]
    addresses = dict.fromkeys([*forwarded, http.remote or ""])
    return Origin(http.path_qs, tuple(filter(None, addresses)), http.headers.get("User-Agent", ""))


def _credentials(http: web.Request) -> Credentials:
    connection = http.get_extra_info("ssl_object")
    return Credentials(
        (connection and connection.getpeercert(binary_form=True)) or b"",
        [(name.lower(), _text(value)) for name, value in http.headers.items()],
    )


def _text(value: str) -> str:
    """A header without what is no UTF-8: it may become a name, which is written into answers and logs."""
    return value if value.isascii() else value.encode(errors="surrogateescape").decode(errors="replace")


async def _chunks(
    watcher: Watcher | ConvertedWatcher, line: Callable[[WatchEvent], bytes], sent: Callable[[float], None]
) -> AsyncIterator[bytes]:
    """Lines of events, those that are there at once in one piece. A failure is the last line."""
    try:
        async for events in watcher.batches():
            sent(len(events))
            yield b"".join(map(line, events))
    except StatusError as error:
        yield line(answers.error_event(error))
