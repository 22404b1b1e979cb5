"""The HTTP endpoints every component answers: /healthz, /livez, /readyz and /metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], str | None]
"""Returns None when well, else the reason it is not."""

PROBES = ("healthz", "livez", "readyz")


@dataclass(frozen=True, slots=True)
class Health:
    """An answer."""

    code: int
    text: str


def routes(checks: Mapping[str, Check], registry: CollectorRegistry) -> list[web.RouteDef]:
    """Routes to add to a component's own application. See `examine`."""

    async def probe(request: web.Request) -> web.Response:
        query = {name: request.query.getall(name) for name in request.query}
        found = examine(request.path, query, checks)
        return web.Response(text=found.text, status=found.code) if found else web.Response(status=404)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    probes = [web.get(path, probe) for name in PROBES for path in (f"/{name}", f"/{name}/{{check}}")]
    return [*probes, web.get("/metrics", metrics)]


def examine(
    path: str, query: Mapping[str, Sequence[str]], checks: Mapping[str, Check], *, is_public: bool = False
) -> Health | None:
    """What a path of health answers; None if there is no such check.

    As upstream: `ok` with 200 when every check passes, else 500 with a line per check; `?verbose` lists them always,
    `?exclude=NAME` leaves one out, `/readyz/NAME` asks one. /livez and /healthz answer while the process runs; /readyz
    asks the checks, too. In public the reasons are withheld.
    """
    probe, _, name = path.strip("/").partition("/")
    asked: dict[str, Check] = {"ping": _is_well}
    if probe == "readyz":
        asked |= checks
    if name:
        if name not in asked:
            return None
        why = asked[name]()
        return Health(500, f"internal server error: {why}\n") if why else Health(200, "ok")
    excluded = {each for value in query.get("exclude", ()) for each in value.split(",")}
    lines, failed = [], False
    for each, check in asked.items():
        if each in excluded:
            lines.append(f"[+]{each} excluded: ok")
        elif why := check():
            failed = True
            lines.append(f"[-]{each} failed: {'reason withheld' if is_public else why}")
        else:
            lines.append(f"[+]{each} ok")
    if unknown := sorted(excluded - set(asked)):
        quoted = ", ".join(f'"{each}"' for each in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
    if not failed and "verbose" not in query:
        return Health(200, "ok")
    lines.append(f"{probe} check {'failed' if failed else 'passed'}")
    return Health(500 if failed else 200, "\n".join(lines) + "\n")


def _is_well() -> str | None:
    return None
