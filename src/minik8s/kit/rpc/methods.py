"""What serves a call, and how it is run: a method never breaks more than its own call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minik8s.kit.log import get_logger
from minik8s.kit.rpc.headers import Head
from minik8s.kit.rpc.status import Code, RpcError

if TYPE_CHECKING:
    from minik8s.kit.rpc.call import Call

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unary:
    """A method of one request and one answer. It raises RpcError to fail."""

    call: "Callable[[bytes, Call], Awaitable[bytes]]"


@dataclass(frozen=True, slots=True)
class Streaming:
    """A method of many requests or answers. It ends the call by returning, or by raising RpcError."""

    call: "Callable[[Call], Awaitable[None]]"


Method = Unary | Streaming
Resolve = Callable[[Head], Method]
"""What serves a call, by its headers; for what nothing serves, `refusing` makes a method."""


def refusing(error: RpcError) -> Method:
    """A method that fails every call."""

    async def refuse(call: "Call") -> None:
        raise error

    return Streaming(refuse)


async def run_unary(method: Unary, message: bytes, call: "Call") -> None:
    """Answer the call."""
    try:
        answer = await method.call(message, call)
    except RpcError as error:
        call.end(error.code, error.text)
    except Exception:  # A bug in the method: its caller alone is told, the server goes on.
        _report(call)
    else:
        call.answer(answer)


async def run_streaming(method: Streaming, call: "Call") -> None:
    """Let the method answer, and end the call."""
    try:
        await method.call(call)
    except RpcError as error:
        call.end(error.code, error.text)
    except Exception:  # As above.
        _report(call)
    else:
        call.end()


def _report(call: "Call") -> None:
    log.error("a call failed", method=call.head.path, exc_info=True)
    call.end(Code.INTERNAL, f"an error within {call.head.path}")
