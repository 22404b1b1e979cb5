"""A component as a process: one event loop, signals that cancel it, an exit code that says why it ended."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from minik8s.kit import health
from minik8s.kit.log import get_logger

log = get_logger(__name__)


class Component(Protocol):
    """What every process of the cluster is: built without side effects, run until cancelled."""

    name: str
    registry: CollectorRegistry

    async def run(self) -> None:
        """Work until cancelled; raise if it cannot go on."""

    def checks(self) -> Mapping[str, health.Check]:
        """What /readyz asks."""


class StartError(Exception):
    """The component cannot start, for a reason its user can mend: shown without a traceback, exit code 1."""


def serve(component: Component, *, health_address: tuple[str, int] | None = None) -> int:
    """Run `component` until SIGTERM or SIGINT; its exit code: 0 asked to stop, 1 cannot start, 2 crashed."""

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            if health_address:
                await stack.enter_async_context(_health_server(component, health_address))
            await component.run()

    return run_until_signalled(component.name, main)


def run_until_signalled(name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run `main` on a fresh uvloop; SIGTERM and SIGINT cancel it. Returns the exit code as `serve`."""

    async def supervised() -> None:
        task = asyncio.ensure_future(main())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        await task

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervised())
    except asyncio.CancelledError:
        log.info("stopped", component=name)
        return 0
    except BaseException as error:
        if start_error := _find_start_error(error):
            sys.stderr.write(f"minik8s {name}: {start_error}\n")
            return 1
        log.error("crashed", component=name, exc_info=True)
        return 2
    return 0


@contextlib.asynccontextmanager
async def _health_server(component: Component, address: tuple[str, int]):  # type: ignore[no-untyped-def]
    app = web.Application()
    app.add_routes(health.routes(component.checks(), component.registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address).start()
    except OSError as error:
        raise StartError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
    try:
        yield
    finally:
        await runner.cleanup()


def _find_start_error(error: BaseException) -> StartError | None:
    """The first StartError in a tree of exception groups, as a TaskGroup raises them."""
    if isinstance(error, StartError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_find_start_error, error.exceptions)), None)
    return None
