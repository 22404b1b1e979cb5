"""The HTTP endpoints every component answers: /healthz, /livez, /readyz and /metrics."""

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""Returns None when well, else the reason it is not."""


def routes(checks: Mapping[str, Check], registry: CollectorRegistry) -> list[web.RouteDef]:
    """Routes to add to a component's own application.

    As upstream: `ok` with 200 when every check passes, else 500 with a line per check; `?verbose` lists them always.
    /livez and /healthz answer while the process runs; /readyz asks the checks.
    """

    async def live(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(request: web.Request) -> web.Response:
        found = {name: check() for name, check in checks.items()}
        failed = any(found.values())
        if not failed and "verbose" not in request.query:
            return web.Response(text="ok")
        lines = [f"[-]{name} failed: {why}" if why else f"[+]{name} ok" for name, why in found.items()]
        lines.append("readyz check failed" if failed else "readyz check passed")
        return web.Response(text="\n".join(lines) + "\n", status=500 if failed else 200)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [
        web.get("/healthz", live),
        web.get("/livez", live),
        web.get("/readyz", ready),
        web.get("/metrics", metrics),
    ]
