"""The kubelet's HTTPS server: what the apiserver asks it for on behalf of kubectl. Logs, so far.

Every caller needs a certificate of the cluster's authority; all but health is for the apiserver and administrators.
"""

import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web

from minik8s.api.core_v1 import Pod
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.node.kubelet.cri import CriClient, CriError
from minik8s.node.kubelet.pod_logs import Selection, stream
from minik8s.node.kubelet.view import ContainerView

log = get_logger(__name__)

USERS = ("kube-apiserver-kubelet-client",)
GROUPS = ("system:masters",)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KubeletHttp:
    """Serves one node. `find` gives a pod of this node by namespace and name, `pods` all of them."""

    def __init__(
        self,
        *,
        cri: CriClient,
        find: Callable[[str, str], Pod | None],
        pods: Callable[[], list[Pod]],
        clock: Clock,
    ) -> None:
        self._cri = cri
        self._find = find
        self._pods = pods
        self._clock = clock

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> web.AppRunner:
        """Listen; the caller cleans the runner up. Raises StartError."""
        app = web.Application(middlewares=[_authorize])
        app.add_routes(
            [
                web.get("/healthz", _healthy),
                web.get("/pods", self._list_pods),
                web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
                *(
                    web.route("*", f"/{verb}/{{rest:.*}}", _not_yet)
                    for verb in ("exec", "attach", "portForward", "run", "stats", "metrics", "debug", "checkpoint")
                ),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
        except OSError as error:
            await runner.cleanup()
            why = os.strerror(error.errno or 0)
            raise StartError(f"cannot listen on {host}:{port}: {why}; choose another --port") from error
        return runner

    async def _list_pods(self, request: web.Request) -> web.Response:
        body = msgspec.json.encode({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods()})
        return web.Response(body=body, content_type="application/json")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        namespace, name, container_name = (request.match_info[key] for key in ("namespace", "pod", "container"))
        pod = self._find(namespace, name)
        if pod is None or pod.metadata is None or pod.spec is None:
            raise web.HTTPNotFound(text=f'pod "{name}" not found on this node\n')
        known = [*pod.spec.containers, *(pod.spec.initContainers or ())]
        if container_name not in {container.name for container in known}:
            raise web.HTTPNotFound(text=f'container "{container_name}" not found in pod "{name}"\n')
        try:
            selection = _selection(request, self._clock)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        uid = pod.metadata.uid or ""
        view = await self._attempt(uid, name, container_name, previous=_flag(request, "previous"))
        path = Path(view.log_path)

        async def is_running() -> bool:
            try:
                latest = (await self._cri.pod(uid)).containers
            except CriError:
                return True  # the runtime is being restarted
            return any(found.id == view.id and found.state == "running" for found in latest)

        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            chunks = stream(path, selection, is_running)
            async with aclosing(chunks):  # type: ignore[type-var]
                first = await anext(chunks, b"")
                await response.prepare(request)
                await response.write(first)
                async for chunk in chunks:
                    await response.write(chunk)
            await response.write_eof()
        except FileNotFoundError as error:
            raise web.HTTPInternalServerError(text=f"the log file {path} does not exist\n") from error
        except ConnectionError:
            log.debug("log reader left", pod=name, container=container_name)
        return response

    async def _attempt(self, uid: str, pod_name: str, container_name: str, *, previous: bool) -> ContainerView:
        """The attempt whose log is asked for."""
        try:
            attempts = (await self._cri.pod(uid)).attempts(container_name)
        except CriError as error:
            raise web.HTTPServiceUnavailable(text=f"container runtime: {error.message}\n") from error
        if previous:
            if len(attempts) < 2:
                text = f'previous terminated container "{container_name}" in pod "{pod_name}" not found\n'
                raise web.HTTPBadRequest(text=text)
            return attempts[1]
        if not attempts or attempts[0].state == "created":
            reason = "PodInitializing" if attempts else "ContainerCreating"
            text = f'container "{container_name}" in pod "{pod_name}" is waiting to start: {reason}\n'
            raise web.HTTPBadRequest(text=text)
        return attempts[0]


@web.middleware
async def _authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    names: dict[str, list[str]] = {}
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            names.setdefault(key, []).append(value)
    user = (names.get("commonName") or [""])[0]
    is_trusted = user in USERS or any(group in GROUPS for group in names.get("organizationName", ()))
    if not is_trusted and request.path != "/healthz":
        raise web.HTTPForbidden(text=f"Forbidden (user={user}, verb={request.method.lower()}, path={request.path})\n")
    return await handler(request)


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _not_yet(request: web.Request) -> web.Response:
    verb = request.path.split("/")[1]
    return web.Response(status=501, text=f"{verb} is not supported yet by minik8s's kubelet\n")


def _selection(request: web.Request, clock: Clock) -> Selection:
    """Raises ValueError."""
    query = request.query
    since_s = None
    if text := query.get("sinceSeconds"):
        since_s = clock.now_s() - _count("sinceSeconds", text)
    elif text := query.get("sinceTime"):
        since_s = datetime.fromisoformat(text).timestamp()
    tail, limit = query.get("tailLines"), query.get("limitBytes")
    return Selection(
        follow=_flag(request, "follow"),
        tail_lines=_count("tailLines", tail) if tail else None,
        since_s=since_s,
        timestamps=_flag(request, "timestamps"),
        limit_bytes=_count("limitBytes", limit) if limit else None,
    )


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "") in ("true", "True", "1")


def _count(name: str, text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{name} must be a whole number that is not negative, not {text!r}")
    return int(text)
