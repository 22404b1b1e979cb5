"""The engine `process`: a container is a process group of a host program. No root, no image, nothing to install.

What a container has: a session, an environment and a directory of its own, `ROOT/containers/ID/rootfs`, in which its
program starts. There is no mount namespace, so an absolute path is the host's, and volumes are links below that
directory: mounted at /etc/config, a ConfigMap is read as `etc/config/KEY` or `$CONTAINER_ROOT/etc/config/KEY`.
What it lacks: isolation and limits. A read-only mount is not enforced.

container.py calls this; shim.py is what it starts.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from minik8s.kit.log import get_logger
from minik8s.node.runtime.engines import shim
from minik8s.node.runtime.errors import RuntimeFault, invalid
from minik8s.wire.cri.api_pb2 import ContainerConfig, PodSandboxConfig

log = get_logger(__name__)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MARK = "MINIK8S_CONTAINER_ID"  # in every process of a container: finds those that left its session
EXEC_OUTPUT_BYTES_MAX = 16 * 1024 * 1024  # as containerd
START_TIMEOUT_S = 10.0


class LaunchFault(RuntimeFault):
    """The program cannot be started: the container ends with StartError and this exit code."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__("UNKNOWN", message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended."""

    code: int
    at_s: float  # seconds since the epoch
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command run inside a container printed, and its exit code."""

    stdout: bytes
    stderr: bytes
    exit_code: int


def check(config: ContainerConfig) -> None:
    """Raises RuntimeFault for a container this engine can never run."""
    if not config.command:
        raise invalid(
            f'container "{config.metadata.name}" has no command: the engine "process" runs programs of the host and '
            f'cannot run the image "{config.image.image}". Give the container a command, or use an engine that runs '
            "images: containerd (kubelet --container-runtime-endpoint unix:///run/containerd/containerd.sock); "
            "the engine oci (runc, crun) is planned"
        )


def prepare(home: Path, config: ContainerConfig) -> None:
    """Make the container's directory and pipes. Raises OSError, RuntimeFault."""
    root = home / "rootfs"
    (root / "tmp").mkdir(parents=True, mode=0o700)
    shim.make_pipes(home)
    # Outer mounts first, so that /data/sub is made inside /data.
    for mount in sorted(config.mounts, key=lambda mount: len(PurePosixPath(mount.container_path).parts)):
        place = below(root, mount.container_path)
        if place == root:
            raise invalid(f'mount path "{mount.container_path}" is the container\'s root')
        if os.path.lexists(place):
            raise invalid(f'the engine "process" cannot mount "{mount.container_path}": something is there already')
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(mount.host_path)


def below(root: Path, path: str) -> Path:
    """`path` taken as a path inside the container. Never leads out of `root` by `..`."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".", "..")]
    return root.joinpath(*parts)


def environment(container_id: str, home: Path, config: ContainerConfig, sandbox: PodSandboxConfig) -> dict[str, str]:
    """The whole environment of a container's processes."""
    root = str(home / "rootfs")
    env = {"PATH": PATH, "HOME": root, "TMPDIR": str(home / "rootfs" / "tmp"), "CONTAINER_ROOT": root}
    if sandbox.hostname:
        env["HOSTNAME"] = sandbox.hostname
    env |= {pair.key: pair.value.decode(errors="surrogateescape") for pair in config.envs}
    env[MARK] = container_id
    return env


def working_directory(home: Path, config: ContainerConfig) -> Path:
    """Where the program starts: workingDir in the container's directory, or the host's of that name. May make it."""
    root = home / "rootfs"
    if not config.working_dir:
        return root
    inside = below(root, config.working_dir)
    if inside.is_dir():
        return inside
    if config.working_dir.startswith("/") and os.access(config.working_dir, os.X_OK):
        return Path(config.working_dir)
    inside.mkdir(parents=True)
    return inside


def resolve(program: str, env: Mapping[str, str], cwd: Path) -> str:
    """The absolute path of a command, found as a shell would. Raises LaunchFault."""
    places = [str(cwd)] if "/" in program else [place for place in env.get("PATH", PATH).split(":") if place]
    candidates = [os.path.normpath(cwd / place / program) for place in places]
    present = [path for path in candidates if Path(path).is_file()]
    for path in present:
        if os.access(path, os.X_OK):
            if "=" in path:
                raise LaunchFault(f'exec: "{program}": the engine "process" cannot start a path that contains "="')
            return path
    if present:
        raise LaunchFault(f'exec: "{present[0]}": permission denied', 126)
    if "/" in program:
        raise LaunchFault(f'exec: "{program}": stat {candidates[0]}: no such file or directory')
    raise LaunchFault(f'exec: "{program}": executable file not found in $PATH')


async def start(
    container_id: str, home: Path, config: ContainerConfig, sandbox: PodSandboxConfig
) -> tuple[shim.ProcessIdentity, shim.ProcessIdentity | None]:
    """Start the program under a shim: the shim's identity, and the program's (None if it is gone already).

    Raises LaunchFault.
    """
    env = environment(container_id, home, config, sandbox)
    try:
        cwd = working_directory(home, config)
    except OSError as error:
        raise LaunchFault(f'chdir "{config.working_dir}": {error.strerror}') from error
    argv = [resolve(config.command[0], env, cwd), *config.command[1:], *config.args]
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            shim_pid = shim.spawn(home, cwd, env, argv, writer)
        except OSError as error:
            raise LaunchFault(f'exec: "{config.command[0]}": {error.strerror}') from error
        finally:
            os.close(writer)
        async with asyncio.timeout(START_TIMEOUT_S):
            await shim.readable(reader)
    except TimeoutError as error:
        raise LaunchFault("the shim did not report the program's pid in time") from error
    finally:
        os.close(reader)
    owner = shim.read_identity(home / "shim")
    if owner is None or owner.pid != shim_pid:
        raise LaunchFault("the shim did not start; is /bin/sh a POSIX shell?")
    return owner, shim.read_identity(home / "pid")


async def execute(
    container_id: str,
    home: Path,
    config: ContainerConfig,
    sandbox: PodSandboxConfig,
    command: Sequence[str],
    timeout_s: float,
) -> ExecResult:
    """Run a command beside the container's program, in its environment and directory. Raises RuntimeFault."""
    env = environment(container_id, home, config, sandbox)
    cwd = working_directory(home, config)
    argv = [resolve(command[0], env, cwd), *command[1:]]
    # Not the event loop's own subprocesses: uvloop runs Python between fork and exec, which crashes now and then where
    # gRPC has threads. This one runs none, and returns when the program has been loaded.
    try:
        process = subprocess.Popen(  # noqa: ASYNC220
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise RuntimeFault("UNKNOWN", f'exec: "{command[0]}": {error.strerror}') from error
    assert process.stdout and process.stderr
    with process.stdout, process.stderr:
        pidfd = os.pidfd_open(process.pid)
        try:
            async with asyncio.timeout(timeout_s or None):
                outputs = await asyncio.gather(_read_bounded(process.stdout), _read_bounded(process.stderr))
                await shim.readable(pidfd)
        except TimeoutError as error:
            raise RuntimeFault(
                "DEADLINE_EXCEEDED", f"command {command[0]!r} timed out after {timeout_s:g} s"
            ) from error
        finally:
            os.close(pidfd)
            # Not collected yet, so the number is still ours; what it left behind in its session goes too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    return ExecResult(*outputs, exit_code=128 - code if code < 0 else code)


def send_signal(program: shim.ProcessIdentity | None, number: signal.Signals) -> None:
    """Signal the program's whole group; harmless when it is gone."""
    if program and program.is_alive():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, number)


def kill_members(container_id: str, program: shim.ProcessIdentity | None) -> int:
    """SIGKILL whatever still belongs to the container, wherever it moved itself; how many there were. Scans /proc."""
    found = 0
    for pid in _members(container_id, program):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            found += 1
    return found


def read_exit(home: Path) -> Exit | None:
    """How the program ended, as its shim wrote it down; None while it runs, or if the shim was killed."""
    path = home / "exit"
    try:
        return Exit(int(path.read_text()), path.stat().st_mtime)
    except (OSError, ValueError):
        return None


def _members(container_id: str, program: shim.ProcessIdentity | None) -> Iterator[int]:
    mark = f"{MARK}={container_id}".encode()
    # The kernel does not give a session's number to a new process while the session has members; so if the number
    # belongs to another process by now, none of ours is left in that session.
    session = program.pid if program else 0
    leader = shim.read_identity(Path(f"/proc/{session}/stat")) if session else None
    if leader and leader != program:
        session = 0
    own_uid = os.getuid()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if session:
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == session and fields[0] != b"Z":
                    yield int(entry.name)
                    continue
            if entry.stat().st_uid == own_uid and mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


async def _read_bounded(pipe: IO[bytes]) -> bytes:
    """All of the pipe; what exceeds the limit is read and thrown away, so that the command can end."""
    fd = pipe.fileno()
    os.set_blocking(fd, False)
    kept = bytearray()
    while True:
        await shim.readable(fd)
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            continue
        if not chunk:
            return bytes(kept)
        kept += chunk[: EXEC_OUTPUT_BYTES_MAX - len(kept)]
