"""One container: its record, its program and its log, from CreateContainer to RemoveContainer.

    created ──start──▶ running ──the program ends, however──▶ exited ──remove──▶ gone
       └──────────────── it cannot be started ─────────────────▶┘

`run` is the container's task: it lives as long as the program does, copies output to the log and writes the end down.
The program itself does not need it (engines/shim.py): a restarted server adopts what it finds and runs it again.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.node.runtime.engines import process, shim
from minik8s.node.runtime.errors import RuntimeFault, not_now
from minik8s.node.runtime.images import image_id
from minik8s.node.runtime.logs import LineSplitter, LogFile
from minik8s.node.runtime.state import ContainerRecord, State
from minik8s.wire.cri import api_pb2 as cri

log = get_logger(__name__)

READ_BYTES = 64 * 1024  # what a pipe holds
KILLED = 137
LOST = 255  # the exit code of a program whose end nobody saw, as after a reboot

STATES = {
    "created": cri.ContainerState.CONTAINER_CREATED,
    "running": cri.ContainerState.CONTAINER_RUNNING,
    "exited": cri.ContainerState.CONTAINER_EXITED,
}


class Container:
    """A container and, while it runs, the means to watch it. `on_change(container, event)` hears of starts and ends."""

    def __init__(
        self,
        record: ContainerRecord,
        sandbox_config: cri.PodSandboxConfig,
        *,
        state: State,
        clock: Clock,
        on_change: Callable[["Container", "cri.ContainerEventType"], None],
    ) -> None:
        self.record = record
        self.config = cri.ContainerConfig.FromString(record.config)
        self.home = state.container_directory(record.id)
        self.exited = asyncio.Event()
        self._sandbox_config = sandbox_config
        self._state = state
        self._clock = clock
        self._on_change = on_change
        self._log = LogFile(record.log_path)
        self._shim: shim.ProcessIdentity | None = None
        self._program: shim.ProcessIdentity | None = None
        self._pipes: dict[int, LineSplitter] = {}
        self._done_fd = -1
        if record.state == "exited":
            self.exited.set()

    async def start(self) -> None:
        """From created to running; `run` must follow. Raises RuntimeFault; LaunchFault has ended the container."""
        if self.record.state != "created":
            raise not_now(f'container "{self.record.id}" is {self.record.state}, not created')
        try:
            self._open_pipes()
            self._log.reopen()
            self._shim, self._program = await process.start(
                self.record.id, self.home, self.config, self._sandbox_config
            )
        except (OSError, process.LaunchFault) as error:
            self._close_pipes()
            fault = error if isinstance(error, process.LaunchFault) else process.LaunchFault(str(error))
            self._end(process.Exit(fault.exit_code, self._clock.now_s(), fault.message), reason="StartError")
            if fault is error:
                raise
            raise fault from error
        self.record.state = "running"
        self.record.started_at_ns = round(self._clock.now_s() * 1e9)
        self._save()
        self._on_change(self, cri.ContainerEventType.CONTAINER_STARTED_EVENT)

    def adopt(self) -> bool:
        """Take up a container of an earlier server: True if it runs, and `run` must follow."""
        self._shim = _alive(shim.read_identity(self.home / "shim"))
        self._program = shim.read_identity(self.home / "pid")
        if self.record.state == "exited" or (self.record.state == "created" and not self._program):
            return False
        if self.record.state == "created":
            # The server died between the start and its record.
            self.record.state = "running"
            self.record.started_at_ns = self.record.created_at_ns
            self._save()
        if self._shim is None:
            process.kill_members(self.record.id, self._program)
            lost = process.Exit(LOST, self._clock.now_s(), "the program's end was not seen: the host restarted")
            self._end(process.read_exit(self.home) or lost)
            return False
        self._open_pipes()
        return True

    async def run(self) -> None:
        """Watch the running program until its end is on record. Cancelling it leaves the program alone."""
        assert self._shim is not None, "run follows start or adopt"
        try:
            fd = os.pidfd_open(self._shim.pid)
        except ProcessLookupError:
            fd = -1
        loop = asyncio.get_running_loop()
        for pipe in self._pipes:
            loop.add_reader(pipe, self._copy, pipe)
        try:
            if fd >= 0:
                await shim.readable(fd)
            _reap(self._shim.pid)
            ended = process.read_exit(self.home)
            await asyncio.to_thread(process.kill_members, self.record.id, self._program)
            for pipe in self._pipes:
                while self._copy(pipe):
                    pass
        finally:
            if fd >= 0:
                os.close(fd)
            self._close_pipes()
        self._end(ended or process.Exit(KILLED, self._clock.now_s(), "the container's shim was killed"))

    async def stop(self, timeout_s: float) -> None:
        """SIGTERM, then after `timeout_s` SIGKILL, to the whole group; returns once the end is on record."""
        if self.record.state != "running":
            return
        if timeout_s > 0:
            process.send_signal(self._program, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self.exited.wait()
        # A program may fork while it is being killed: look again until it is over.
        while not self.exited.is_set():
            await asyncio.to_thread(process.kill_members, self.record.id, self._program)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.exited.wait()

    async def execute(self, command: list[str], timeout_s: float) -> process.ExecResult:
        """Run a command beside the program. Raises RuntimeFault."""
        if self.record.state != "running":
            raise not_now(f'container "{self.record.id}" is not running')
        if not command:
            raise RuntimeFault("INVALID_ARGUMENT", "no command to execute")
        return await process.execute(self.record.id, self.home, self.config, self._sandbox_config, command, timeout_s)

    def reopen_log(self) -> None:
        """The log file has been moved away: write to a new one. Raises RuntimeFault."""
        if self.record.state != "running":
            raise not_now(f'container "{self.record.id}" is not running')
        try:
            self._log.reopen()
        except OSError as error:
            raise RuntimeFault("UNKNOWN", f"cannot reopen {self.record.log_path}: {error.strerror}") from error

    def status(self) -> cri.ContainerStatus:
        """As ContainerStatus answers it."""
        record, config = self.record, self.config
        return cri.ContainerStatus(
            id=record.id,
            metadata=config.metadata,
            state=STATES[record.state],
            created_at=record.created_at_ns,
            started_at=record.started_at_ns,
            finished_at=record.finished_at_ns,
            exit_code=record.exit_code,
            image=config.image,
            image_ref=image_id(config.image.image),
            image_id=image_id(config.image.image),
            reason=record.reason,
            message=record.message,
            labels=config.labels,
            annotations=config.annotations,
            mounts=config.mounts,
            log_path=record.log_path,
        )

    def summary(self) -> cri.Container:
        """As ListContainers answers it."""
        return cri.Container(
            id=self.record.id,
            pod_sandbox_id=self.record.sandbox_id,
            metadata=self.config.metadata,
            image=self.config.image,
            image_ref=image_id(self.config.image.image),
            image_id=image_id(self.config.image.image),
            state=STATES[self.record.state],
            created_at=self.record.created_at_ns,
            labels=self.config.labels,
            annotations=self.config.annotations,
        )

    def _end(self, end: process.Exit, *, reason: str = "") -> None:
        record = self.record
        record.state = "exited"
        record.exit_code = end.code
        record.reason = reason or ("Completed" if end.code == 0 else "Error")
        record.message = end.message
        # The shim's clock is the file system's; an end before the start would confuse readers.
        record.finished_at_ns = max(round(end.at_s * 1e9), record.started_at_ns)
        self._save()
        self.exited.set()
        self._on_change(self, cri.ContainerEventType.CONTAINER_STOPPED_EVENT)

    def _save(self) -> None:
        """A full disk costs the record, not the containers: `adopt` makes up for it from what the shim wrote."""
        try:
            self._state.save_container(self.record)
        except OSError as error:
            log.warning("container record not saved", container=self.record.id, error=error.strerror)

    def _open_pipes(self) -> None:
        for name, stream in (("out", "stdout"), ("err", "stderr")):
            self._pipes[shim.open_reader(self.home, name)] = LineSplitter(stream)
        # Last: it lets a shim that waits for us go, and with it what the pipes hold unless we hold them too.
        self._done_fd = shim.open_reader(self.home, "done")

    def _copy(self, fd: int) -> bool:
        """One read's worth from a pipe to the log; False when there is nothing (more) to read."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            # The last writer is gone; the descriptor would be readable for ever.
            asyncio.get_running_loop().remove_reader(fd)
            return False
        self._log.append(self._pipes[fd].feed(data, self._clock.now_s()))
        return True

    def _close_pipes(self) -> None:
        for fd, splitter in self._pipes.items():
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            self._log.append(splitter.flush(self._clock.now_s()))
        self._pipes.clear()
        self._log.close()
        if self._done_fd >= 0:
            os.close(self._done_fd)
            self._done_fd = -1


def _alive(identity: shim.ProcessIdentity | None) -> shim.ProcessIdentity | None:
    return identity if identity and identity.is_alive() else None


def _reap(pid: int) -> None:
    """Collect the shim if it was this process's child, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
