"""The fork server: imports what components need, forks one process per component, restarts those that die.

`up` starts it as `python -m minik8s.cli.supervisor` and writes a Plan to its standard input; `status` and `down` read
the State it keeps in the cluster's directory and send it SIGTERM. It is plain blocking code on purpose: a process that
never starts a thread, an event loop or gRPC may fork at any time, so a restart is as cheap as the first start.
Importing one component's modules and forking it comes before the next one's: the store elects while the rest loads.
"""

import ctypes
import fcntl
import gc
import importlib
import os
import pkgutil
import shlex
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec

from minik8s.cli.process import Process, children, find
from minik8s.kit.clock import Clock, SystemClock
from minik8s.kit.log import configure, get_logger
from minik8s.kit.run import StartError

log = get_logger("minik8s.supervisor")

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
STATE_FILE = "state.json"
LOCK_FILE = "supervisor.lock"

RESTART_FIRST_S = 0.1
RESTART_MAX_S = 10.0
STEADY_S = 10.0  # a component that ran this long has earned a quick restart again
GRACE_S = 10.0  # between SIGTERM and SIGKILL, for each stage
LOG_BYTES_MAX = 16 * 2**20  # a full log moves to NAME.log.1, so a component holds at most twice this
LOG_CHECK_S = 10.0

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One component: `command` of `module`, a click command, called with `args`."""

    name: str
    module: str
    args: list[str]
    imports: list[str] = []  # packages whose modules are all imported before the fork
    stage: int = 0  # higher stages are stopped first


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, in starting order, and where its state and logs go."""

    directory: str
    tasks: list[Task]
    claims: list[str] = []  # names no other supervisor on this host may hold at the same time
    follow_parent: bool = False  # end when the process that started the supervisor does


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` is told about one component."""

    name: str
    process: Process | None = None
    restarts: int = 0
    failures: int = 0  # ends in a row without having been steady in between
    last_exit: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor keeps in its state file."""

    supervisor: Process
    tasks: list[TaskState]


@dataclass(slots=True)
class _Slot:
    task: Task
    process: Process | None = None
    started_s: float = 0.0
    due_s: float | None = None
    restarts: int = 0
    failures: int = 0
    last_exit: str = ""

    def state(self) -> TaskState:
        return TaskState(
            name=self.task.name,
            process=self.process,
            restarts=self.restarts,
            failures=self.failures,
            last_exit=self.last_exit,
        )


def restart_delay_s(failures: int) -> float:
    """The wait before a restart after `failures` ends in a row: 0.1 s doubling to 10 s."""
    return min(RESTART_MAX_S, RESTART_FIRST_S * 2 ** min(failures - 1, 16))


def read_state(directory: Path) -> State | None:
    """The last state written in a cluster's directory; None when there is none or it cannot be understood."""
    try:
        return msgspec.json.decode((directory / STATE_FILE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None


def log_path(directory: Path, name: str) -> Path:
    """Where a component's output goes."""
    return directory / "logs" / f"{name}.log"


@dataclass(slots=True)
class Supervisor:
    """Runs a Plan until a signal ends it. All its waiting is one sigtimedwait."""

    plan: Plan
    clock: Clock = field(default_factory=SystemClock)
    _slots: list[_Slot] = field(default_factory=list)
    _held: list[int] = field(default_factory=list)
    _is_state_written: bool = True

    @property
    def directory(self) -> Path:
        return Path(self.plan.directory)

    def run(self) -> None:
        """Start everything, restart what dies, stop everything. Raises StartError if another one runs."""
        self._slots = [_Slot(task) for task in self.plan.tasks]
        self._take_lock()
        self._take_claims()
        log_path(self.directory, "x").parent.mkdir(mode=0o700, exist_ok=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        # Children of a runtime that was killed become ours, so that nothing outlives the cluster.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if self.plan.follow_parent:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        try:
            for slot in self._slots:
                preload([slot.task.module, *slot.task.imports])
                self._start(slot)
            assert threading.active_count() == 1, "an import started a thread: forking is no longer safe"
            self._watch()
        finally:
            self._stop()
            (self.directory / STATE_FILE).unlink(missing_ok=True)

    def _watch(self) -> None:
        log_check_s = self.clock.monotonic_s() + LOG_CHECK_S
        while True:
            waits_s = [log_check_s, *(slot.due_s for slot in self._slots if slot.due_s is not None)]
            info = signal.sigtimedwait(SIGNALS, max(0.0, min(waits_s) - self.clock.monotonic_s()))
            if info and info.si_signo == signal.SIGCHLD:
                self._reap()
            elif info:
                log.info("stopping", signal=signal.Signals(info.si_signo).name)
                return
            now_s = self.clock.monotonic_s()
            for slot in self._slots:
                if slot.due_s is not None and slot.due_s <= now_s:
                    slot.restarts += 1
                    self._start(slot)
            if now_s >= log_check_s:
                cap_logs(self.directory / "logs", LOG_BYTES_MAX)
                if not self._is_state_written:
                    self._write_state()
                log_check_s = now_s + LOG_CHECK_S

    def _start(self, slot: _Slot) -> None:
        slot.due_s, slot.started_s = None, self.clock.monotonic_s()
        # What exists now is shared with the child for good: its collector would touch, and so copy, every page.
        gc.freeze()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            _become(slot.task, parent, log_path(self.directory, slot.task.name), self._held)
        slot.process = find(pid)
        # The command line in full, once: forked processes show this one's in `ps`.
        command = {} if slot.restarts else {"command": shlex.join([slot.task.module, *slot.task.args])}
        log.info("started", component=slot.task.name, pid=pid, **command)
        self._write_state()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in self._slots:
                if slot.process and slot.process.pid == pid:
                    self._ended(slot, status)

    def _ended(self, slot: _Slot, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        slot.last_exit = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        now_s = self.clock.monotonic_s()
        slot.failures = 1 if now_s - slot.started_s >= STEADY_S else slot.failures + 1
        slot.process = None
        slot.due_s = now_s + restart_delay_s(slot.failures)
        delay_s = round(slot.due_s - now_s, 1)
        log.warning("component ended", component=slot.task.name, why=slot.last_exit, restart_in_s=delay_s)
        self._write_state()

    def _stop(self) -> None:
        for slot in self._slots:
            slot.due_s = None
        for stage in sorted({slot.task.stage for slot in self._slots}, reverse=True):
            self._stop_processes([s.process for s in self._slots if s.process and s.task.stage == stage])
        # Whatever is left was adopted from components that were killed.
        self._stop_processes([found for pid in children(os.getpid()) if (found := find(pid))])

    def _stop_processes(self, processes: list[Process]) -> None:
        """SIGTERM, wait while reaping, SIGKILL. A second signal to the supervisor cuts the grace short."""
        for process in processes:
            process.kill(signal.SIGTERM)
        deadline_s = self.clock.monotonic_s() + GRACE_S
        while alive := [process for process in processes if process.is_alive()]:
            left_s = deadline_s - self.clock.monotonic_s()
            # Not longer than this at once: an ended child raises one SIGCHLD, which may have been taken already.
            info = signal.sigtimedwait(SIGNALS, min(0.2, max(0.0, left_s)))
            self._forget_ended()
            if left_s <= 0 or (info and info.si_signo != signal.SIGCHLD):
                for process in alive:
                    if process.kill(signal.SIGKILL):
                        log.warning("killed after its grace period", pid=process.pid)
                deadline_s = self.clock.monotonic_s() + GRACE_S
        self._forget_ended()

    def _forget_ended(self) -> None:
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    return
            except ChildProcessError:
                return

    def _write_state(self) -> None:
        own = find(os.getpid())
        assert own is not None
        state = State(supervisor=own, tasks=[slot.state() for slot in self._slots])
        # Replaced, so that a reader never sees half of it; not synced, as nothing in it outlives the machine.
        scratch = self.directory / f".{STATE_FILE}"
        try:
            scratch.write_bytes(msgspec.json.encode(state))
            scratch.replace(self.directory / STATE_FILE)
            self._is_state_written = True
        except OSError as error:
            # A full disk must not take the cluster down; written again with the next look at the logs.
            self._is_state_written = False
            log.warning("cannot write the state", error=str(error))

    def _take_lock(self) -> None:
        fd = os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        self._held.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StartError(f"{self.directory}: another supervisor runs this cluster") from error

    def _take_claims(self) -> None:
        for name in self.plan.claims:
            try:
                self._held.append(claim(name).detach())
            except OSError as error:
                why = f"another running cluster on this machine uses {name}: stop it first, or delete one of the two"
                raise StartError(why) from error


def claim(name: str) -> socket.socket:
    """Hold `name` on this host while the socket is open. Raises OSError when another process holds it.

    An abstract unix socket: it goes with its process, and its scope is the network namespace, as that of the loopback
    addresses it stands for.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0minik8s/{name}")
    except OSError:
        held.close()
        raise
    return held


def preload(names: Iterable[str]) -> None:
    """Import modules, and all below those that are packages. A fault is left to the child: it has a log of its own."""
    for name in names:
        try:
            module = importlib.import_module(name)
            for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
                importlib.import_module(found.name)
        except Exception as error:  # anything may be raised by an import; preloading only saves time
            log.warning("cannot import before forking", module=name, error=repr(error))


def cap_logs(directory: Path, bytes_max: int) -> None:
    """Move each log over `bytes_max` to NAME.log.1. Writers append, so truncating under them is safe."""
    for path in directory.glob("*.log"):
        if path.stat().st_size > bytes_max:
            try:
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
            except OSError as error:
                log.warning("cannot keep the old part of a full log", log=path.name, error=str(error))
            os.truncate(path, 0)


def _become(task: Task, parent: int, log_file: Path, held: list[int]) -> NoReturn:
    """In the child: run the component's command; never returns to the supervisor's code."""
    code = 2
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
        os.setsid()  # a Ctrl-C in the terminal is the supervisor's to handle
        _name_process(task.name)
        for fd in held:
            os.close(fd)
        output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        gc.enable()
        command = importlib.import_module(task.module).command
        command.main(args=task.args, prog_name=f"minik8s {task.name}")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        log.error("crashed", component=task.name, exc_info=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _name_process(name: str) -> None:
    # What `ps -e` and `top` show: at most 15 bytes.
    _prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]))


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> int:
    """Read a Plan from standard input and run it; nothing is written there when `up` gave up meanwhile."""
    configure()
    gc.disable()
    # While `up` still makes certificates: what every plan needs first.
    preload(sys.argv[1:])
    text = sys.stdin.buffer.read()
    if not text:
        return 0
    plan = msgspec.json.decode(text, type=Plan)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        Supervisor(plan).run()
    except (StartError, OSError) as error:
        log.error("cannot supervise", directory=plan.directory, error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
