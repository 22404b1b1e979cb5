"""What fuzzing is made of: calls that must be answered, damage to what was good, memory as the kernel counts it."""

import asyncio
import gc
import json
import random
from pathlib import Path

from control.apiserver.harness import ADMIN

from minik8s.api.errors import StatusError
from minik8s.api.request import Request

PIECES = [b"{", b"[", b"}", b"]", b'"', b"&a ", b"*a", b"\x00", b"- ", b"\xff", b"1e999"]


class Asking:
    """One user's calls, each to its end."""

    def __init__(self, runner: asyncio.Runner, api) -> None:  # type: ignore[no-untyped-def]
        self._runner = runner
        self._handler = api.as_user(ADMIN)

    def __call__(self, request: Request) -> int:
        """The code of the answer. Raises whatever is no answer."""

        async def ask() -> int:
            try:
                async with asyncio.timeout(5):
                    if request.verb == "watch":
                        await (await self._handler.watch(request)).close()
                        return 200
                    return (await self._handler.call(request)).code
            except StatusError as error:
                json.dumps(error.status())
                return error.code

        code = self._runner.run(ask())
        assert code < 500 or code in (504,), request
        return code


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes changed, dropped or repeated."""
    rng, made = random.Random(seed), bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made) or 1)
        match rng.randrange(4):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del made[at : at + rng.randint(1, 9)]
            case 2:
                made[at:at] = made[at : at + rng.randint(1, 40)]
            case 3:
                made[at:at] = rng.choice(PIECES)
    return bytes(made)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
