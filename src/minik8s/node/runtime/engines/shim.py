"""The shim of the process engine: two lines of shell that outlive the runtime server and remember the exit code.

A shim costs 1.7 MB and 4 ms; the same in Python costs 15 MB. It runs in the container's private directory:

    out, err   FIFOs, opened read-write by the shim, so that output waits (64 KiB each) while no server reads
    done       FIFO that the shim opens for writing at the very end: that blocks until a server is there, and keeps
               `out` and `err` from vanishing before they are read
    shim, pid  the two processes, each with its start time, so that a recycled pid is never taken for them
    exit       the program's exit code, 128+n for signal n

Nothing of the shell leaks into the container: `setsid` gives it a session of its own, `env -i` its exact environment
(a shell would drop variables it cannot name and add PWD), and no file descriptor but 0, 1 and 2 is passed on.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minik8s.node.runtime.errors import failed

# $1 is the directory, the rest is for CHILD. What the shell itself says ("Killed") goes nowhere.
_SHIM = """\
dir=$1
read -r stat <"/proc/$$/stat"
echo "$stat" >"$dir/shim"
exec 4>&2 2>/dev/null
"$SETSID" /bin/sh -c "$CHILD" container "$@"
echo "$?" >"$dir/exit"
: >"$dir/done"
"""

# Directory, working directory, then NAME=VALUE…, then the program and its arguments. A line on descriptor 3 tells
# that the pid is known.
_CHILD = """\
dir=$1 cwd=$2
shift 2
exec 2>&4 4>&-
cd -- "$cwd" || exit 126
read -r stat <"/proc/$$/stat"
echo "$stat" >"$dir/pid"
echo >&3
exec 3>&- "$ENV" -i -- "$@"
"""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    start_ticks: int  # field 22 of /proc/PID/stat: clock ticks from boot

    def is_alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return read_identity(Path(f"/proc/{self.pid}/stat")) == self


def read_identity(path: Path) -> ProcessIdentity | None:
    """The process that a line of /proc/PID/stat tells of; None if there is no such file, or it is a zombie."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The command name, in parentheses, may hold anything.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return ProcessIdentity(int(head.split(" ", 1)[0]), int(fields[19]))


def make_pipes(home: Path) -> None:
    """The FIFOs of a container in its directory `home`. Raises OSError."""
    for name in ("out", "err", "done"):
        os.mkfifo(home / name, 0o600)


def open_reader(home: Path, name: str) -> int:
    """A non-blocking descriptor that reads the FIFO `name`."""
    return os.open(home / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def spawn(home: Path, cwd: Path, env: Mapping[str, str], argv: Sequence[str], started_fd: int) -> int:
    """Start a shim in a new session; its pid. A line arrives on `started_fd`'s pipe once `pid` is written.

    argv[0] is an absolute path. Raises RuntimeFault or OSError.
    """
    tools = {name.upper(): shutil.which(name, path="/usr/bin:/bin") for name in ("setsid", "env")}
    if missing := [name.lower() for name, path in tools.items() if not path]:
        raise failed(f"the host lacks {', '.join(missing)}, which the process engine starts programs with")
    own_environment = {name: path for name, path in tools.items() if path} | {"CHILD": _CHILD}
    assignments = [f"{name}={value}" for name, value in env.items()]
    return os.posix_spawn(
        "/bin/sh",
        ["/bin/sh", "-c", _SHIM, "minik8s-shim", str(home), str(cwd), *assignments, *argv],
        own_environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(home / "out"), os.O_RDWR, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(home / "err"), os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, started_fd, 3),
        ],
        setsid=True,
        # Python ignores these two; programs expect the default.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        setsigmask=[],
    )


async def readable(fd: int) -> None:
    """Wait until `fd` has data, has lost its last writer, or (a pidfd) its process has ended."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
