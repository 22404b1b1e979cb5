"""Processes named beyond their pid: a recycled pid is never mistaken for the process that once had it.

Used by the supervisor (what it recorded), by `down` (what a killed supervisor left) and by `status` (memory).
"""

import contextlib
import os
import select
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minik8s.kit.clock import SystemClock

_STATE, _START_TICKS = 0, 19  # places in /proc/PID/stat after the name, which may hold spaces and brackets


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `started` is the boot and the tick it started at, so the pair is unique for ever."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return find(self.pid) == self

    def kill(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone. The pidfd pins the process between check and signal."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(fd, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)


def find(pid: int) -> Process | None:
    """The process that has `pid` now, or None."""
    fields = _stat(pid)
    if not fields or fields[_STATE] in "ZX":
        return None
    return Process(pid, f"{_boot_id()}/{fields[_START_TICKS]}")


def uptime_s(process: Process) -> float:
    """Seconds since it started; meaningless for a process that is gone."""
    ticks = int(process.started.rpartition("/")[2])
    return SystemClock().monotonic_s() - ticks / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> tuple[int, int]:
    """(resident, proportional) memory: pages shared since the fork count in full, or by share. Zeros when gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {fields[0]: int(fields[1]) for line in lines[1:] if len(fields := line.split()) >= 2}
    return sizes.get("Rss:", 0), sizes.get("Pss:", 0)


def cpu_s(pid: int) -> float:
    """Processor seconds it has used, user and system; 0 when gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def children(pid: int) -> list[int]:
    """Pids of the direct children of a single-threaded process."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait(processes: Iterable[Process], timeout_s: float) -> list[Process]:
    """Wait until all have ended; those that still run after `timeout_s`."""
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + timeout_s
    left = [process for process in processes if process.is_alive()]
    while left and (remaining_s := deadline_s - clock.monotonic_s()) > 0:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(left[0].pid)
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                # Looked at again now and then: a process that turned zombie under a slow parent counts as ended.
                poll.poll(min(remaining_s, 0.2) * 1000)
            finally:
                os.close(fd)
        left = [process for process in left if process.is_alive()]
    return left


def stop(processes: Iterable[Process], grace_s: float) -> list[Process]:
    """SIGTERM, then SIGKILL for those that outlive `grace_s`. Returns what had to be killed."""
    left = [process for process in processes if process.kill(signal.SIGTERM)]
    stubborn = wait(left, grace_s)
    for process in stubborn:
        process.kill(signal.SIGKILL)
    wait(stubborn, 5.0)
    return stubborn


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
