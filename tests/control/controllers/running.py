"""Controllers at work on an apiserver in process."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from control.apiserver.harness import ADMIN, running
from minik8s.client.client import Client
from minik8s.control.apiserver.handler import Api
from minik8s.control.controllers.context import Config
from minik8s.control.controllers.manager import Manager
from minik8s.kit.clock import Clock, SystemClock


@contextlib.asynccontextmanager
async def controllers(api: Api, *which: Any, clock: Clock | None = None) -> AsyncIterator[Manager]:
    """These controllers, without a Lease."""
    client = Client(api.as_user(ADMIN), field_manager="controllers")
    made: Sequence[Any] = which
    manager = Manager(
        Config(leader_elect=False),
        client,
        clock=clock or SystemClock(),
        rng=random.Random(1),
        identity="test",
        controllers=made,
    )
    async with running(manager.run()):
        yield manager


async def until(condition: Any, within_s: float = 10.0) -> Any:
    """Wait for an async condition to give something true, and give it."""
    async with asyncio.timeout(within_s):
        while not (found := await condition()):
            await asyncio.sleep(0.005)
    return found
