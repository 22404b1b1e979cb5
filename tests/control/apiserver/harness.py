"""An apiserver over an in-process store, without sockets.

async with local_api() as api:
    client = Client(api.as_user(ADMIN), field_manager="test")

No controller runs beside it, so no namespace has a ServiceAccount, and the admission plugin that wants one for each pod
is off unless a test asks for it.
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from minik8s.control.apiserver.authn import ADMIN
from minik8s.control.apiserver.core import Core, CoreConfig
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.storage import InProcessStore, Store
from minik8s.kit.clock import Clock, SystemClock
from minik8s.store.errors import EtcdError
from minik8s.store.local import LocalStore

__all__ = ["ADMIN", "local_api", "local_core", "local_store", "running", "scenario"]


@contextlib.asynccontextmanager
async def local_api(
    *, clock: Clock | None = None, seed: int = 1, config: CoreConfig | None = None
) -> AsyncIterator[Api]:
    """The API of one apiserver, once it is ready. `api.as_user(user)` is a client Transport."""
    async with local_core(clock=clock, seed=seed, config=config) as core:
        yield core.api


@contextlib.asynccontextmanager
async def local_core(
    *,
    clock: Clock | None = None,
    seed: int = 1,
    config: CoreConfig | None = None,
    store: Store | None = None,
    allow_loopback: bool = True,
    with_accounts: bool = False,
) -> AsyncIterator[Core]:
    """The same with its parts; over `store`, or one of its own. Endpoints may be loopback addresses if not said."""
    clock = clock or SystemClock()
    config = config or CoreConfig()
    disabled = [*config.admission.disabled, *([] if with_accounts else ["ServiceAccount"])]
    config = replace(
        config, admission=replace(config.admission, allow_loopback_endpoints=allow_loopback, disabled=disabled)
    )
    async with contextlib.AsyncExitStack() as stack:
        if store is None:
            store = await stack.enter_async_context(local_store(clock=clock, seed=seed))
        core = Core(config, store, clock=clock, rng=random.Random(seed))
        await stack.enter_async_context(running(core.run()))
        async with asyncio.timeout(10):
            while core.not_ready():
                await asyncio.sleep(0.001)
        yield core


@contextlib.asynccontextmanager
async def local_store(*, clock: Clock | None = None, seed: int = 1) -> AsyncIterator[InProcessStore]:
    """An in-process store, as the apiserver sees it."""
    local = LocalStore(clock=clock or SystemClock(), rng=random.Random(seed))
    async with running(local.run()):
        yield InProcessStore(local, EtcdError)


@contextlib.asynccontextmanager
async def running(coroutine) -> AsyncIterator[None]:
    """Run something beside the block; what it raises is raised at the block's end."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """An async test as one that pytest can call; it has 20 seconds."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            async with asyncio.timeout(20):
                await test(*args, **kwargs)

        asyncio.run(main())

    return run
