"""What a member tells over HTTP: etcd's /health, /version and /metrics, our /readyz.

At `--listen-metrics-urls`, and as etcd does at the clients' own port to whoever speaks HTTP/1 there.
"""

from asyncio import Protocol
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from minik8s.kit import health, tls
from minik8s.kit.run import StartError
from minik8s.store.cluster import parse_url
from minik8s.store.service import VERSION


@asynccontextmanager
async def serving(
    urls: Sequence[str],
    identity: tls.Identity | None,
    checks: Mapping[str, health.Check],
    registry: CollectorRegistry,
) -> AsyncIterator[Callable[[], Protocol]]:
    """Serve the pages at `urls` while the context lasts; https ones use `identity`. Raises StartError.

    Gives what serves them on connections that were accepted elsewhere.
    """
    app = web.Application()
    app.add_routes(
        [*health.routes(checks, registry), web.get("/health", _health(checks)), web.get("/version", _version)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        for url in urls:
            host, port, secure = parse_url(url)
            try:
                context = tls.server_context(identity) if secure and identity else None
                await web.TCPSite(runner, host, port, ssl_context=context).start()
            except OSError as error:
                raise StartError(
                    f"cannot listen on {url} (--listen-metrics-urls): {error.strerror or error}"
                ) from error
        assert runner.server
        yield runner.server
    finally:
        await runner.cleanup()


def _health(checks: Mapping[str, health.Check]):  # type: ignore[no-untyped-def]  # aiohttp's handler type
    async def answer(request: web.Request) -> web.Response:
        reasons = [reason for check in checks.values() if (reason := check())]
        body = {"health": "false" if reasons else "true", "reason": "; ".join(reasons)}
        return web.json_response(body, status=503 if reasons else 200)

    return answer


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"etcdserver": VERSION, "etcdcluster": VERSION.rsplit(".", 1)[0] + ".0"})
