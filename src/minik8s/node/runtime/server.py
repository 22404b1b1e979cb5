"""CRI over gRPC on a unix socket: the component `runtime`, and the only place here that knows gRPC.

Ended by SIGTERM, it stops every container first. Killed, it leaves them running, and the next one adopts them.
"""

import asyncio
import fcntl
import inspect
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry, Counter

from minik8s.kit.clock import Clock
from minik8s.kit.health import Check
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError
from minik8s.node.runtime.engines import ENGINES
from minik8s.node.runtime.errors import RuntimeFault, unimplemented
from minik8s.node.runtime.images import Images
from minik8s.node.runtime.service import RuntimeService
from minik8s.node.runtime.state import State
from minik8s.wire.cri import api_pb2 as cri

log = get_logger(__name__)

SOCKET_PATH_BYTES_MAX = 107  # sun_path, less its closing zero


@dataclass(frozen=True, slots=True)
class Config:
    """What a runtime is told."""

    listen: Path  # of the unix socket
    root: Path  # sandboxes, containers and their state
    engine: str = "process"
    stop_grace_s: float = 2.0  # between SIGTERM and SIGKILL for containers when the runtime is told to end
    message_bytes_max: int = 32 * 1024 * 1024  # two full ExecSync outputs


class RuntimeServer:
    """One node's container runtime."""

    name = "runtime"

    def __init__(self, config: Config, *, clock: Clock, rng: random.Random) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._clock = clock
        self._rng = rng
        self._is_listening = False
        self._operations = Counter(
            "kubelet_runtime_operations", "CRI calls served.", ["operation_type"], registry=self.registry
        )
        self._failures = Counter(
            "kubelet_runtime_operations_errors", "CRI calls that failed.", ["operation_type"], registry=self.registry
        )

    def checks(self) -> Mapping[str, Check]:
        return {"listening": lambda: None if self._is_listening else "not listening yet"}

    async def run(self) -> None:
        """Serve until cancelled, then stop all containers. Raises StartError."""
        if self._config.engine not in ENGINES:
            raise StartError(f"no engine {self._config.engine!r}; there is {', '.join(ENGINES)} (oci is planned)")
        lock = await asyncio.to_thread(_claim, self._config)
        try:
            async with asyncio.TaskGroup() as group:
                service = RuntimeService(State(self._config.root), clock=self._clock, rng=self._rng)
                service.open(group.create_task)
                server = grpc.aio.server(options=self._options())
                server.add_generic_rpc_handlers(
                    [self._handlers("RuntimeService", service), self._handlers("ImageService", Images())]
                )
                server.add_insecure_port(f"unix://{self._config.listen}")
                await server.start()
                self._config.listen.chmod(0o600)
                self._is_listening = True
                log.info("runtime ready", socket=str(self._config.listen), engine=self._config.engine)
                try:
                    await asyncio.Event().wait()
                finally:
                    await server.stop(None)
                    # The containers' tasks are siblings: they are cancelled only after this has seen their ends.
                    await service.stop_all(self._config.stop_grace_s)
        finally:
            self._is_listening = False
            os.close(lock)

    def _options(self) -> list[tuple[str, int]]:
        limit = self._config.message_bytes_max
        return [("grpc.max_send_message_length", limit), ("grpc.max_receive_message_length", limit)]

    def _handlers(self, name: str, service: object) -> grpc.GenericRpcHandler:
        handlers = {}
        for method in cri.DESCRIPTOR.services_by_name[name].methods:
            call = getattr(service, _snake_case(method.name), _missing(method.name))
            decode = getattr(cri, method.input_type.name).FromString
            encode = getattr(cri, method.output_type.name).SerializeToString
            if method.server_streaming:
                handler = grpc.unary_stream_rpc_method_handler(self._stream(method.name, call), decode, encode)
            else:
                handler = grpc.unary_unary_rpc_method_handler(self._unary(method.name, call), decode, encode)
            handlers[method.name] = handler
        return grpc.method_handlers_generic_handler(f"runtime.v1.{name}", handlers)

    def _unary(self, operation: str, call: Callable[[Any], Any]) -> Callable[..., Any]:
        async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
            self._operations.labels(operation).inc()
            try:
                answer = call(request)
                return await answer if inspect.isawaitable(answer) else answer
            except RuntimeFault as fault:
                self._failures.labels(operation).inc()
                await context.abort(grpc.StatusCode[fault.code], fault.message)
            except OSError as error:
                self._failures.labels(operation).inc()
                log.warning("call failed", operation=operation, error=str(error))
                await context.abort(grpc.StatusCode.UNKNOWN, f"{operation}: {error}")

        return handle

    def _stream(self, operation: str, call: Callable[[Any], AsyncIterator[Any]]) -> Callable[..., Any]:
        async def handle(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            self._operations.labels(operation).inc()
            # At once, so that the caller knows from when on it hears of everything.
            await context.send_initial_metadata(())
            try:
                async for message in call(request):
                    yield message
            except RuntimeFault as fault:
                self._failures.labels(operation).inc()
                await context.abort(grpc.StatusCode[fault.code], fault.message)

        return handle


def _claim(config: Config) -> int:
    """Make the root directory this process's own, and the socket's path free; the lock's descriptor."""
    if len(os.fsencode(config.listen)) > SOCKET_PATH_BYTES_MAX:
        raise StartError(f"the socket's path is longer than {SOCKET_PATH_BYTES_MAX} bytes: {config.listen}")
    try:
        config.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.listen.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(config.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"cannot use --root {config.root}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StartError(f"another runtime is using --root {config.root}; end it or give this one its own") from error
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(config.listen)) == 0:
            os.close(lock)
            raise StartError(f"something is listening on {config.listen} already; give another --listen")
    config.listen.unlink(missing_ok=True)
    return lock


def _missing(operation: str) -> Callable[[Any], Any]:
    def refuse(request: Any) -> Any:
        raise unimplemented(f"{operation} is not supported yet by minik8s's runtime")

    return refuse


def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
