"""What the runtime remembers across its own death: one directory and one small JSON file per sandbox and container.

    ROOT/network.json                 the node's pod CIDR and the address handed out last
    ROOT/sandboxes/ID/sandbox.json    SandboxRecord
    ROOT/containers/ID/container.json ContainerRecord; beside it what the engine keeps (process ids, exit code, pipes)

Files are replaced atomically, so a killed runtime leaves the old or the new record. They are not fsynced: a machine
that loses power loses the containers too, and a record that does not decode afterwards is dropped.
"""

import os
import shutil
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from minik8s.kit.log import get_logger

log = get_logger(__name__)

R = TypeVar("R", bound=msgspec.Struct)


class SandboxRecord(msgspec.Struct, kw_only=True):
    """A pod's place on the node."""

    id: str
    config: bytes  # a PodSandboxConfig message
    created_at_ns: int
    runtime_handler: str = ""
    ip: str = ""  # "": the node's own address (hostNetwork)
    ready: bool = True


class ContainerRecord(msgspec.Struct, kw_only=True):
    """A container from CreateContainer to RemoveContainer; `state` never goes back."""

    id: str
    sandbox_id: str
    config: bytes  # a ContainerConfig message
    log_path: str  # absolute; "" when the pod keeps no logs
    created_at_ns: int
    state: Literal["created", "running", "exited"] = "created"
    started_at_ns: int = 0
    finished_at_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class NetworkRecord(msgspec.Struct, kw_only=True):
    """Where pod addresses come from."""

    pod_cidr: str = ""
    last_ip: str = ""


class State:
    """The records below `root`. The constructor opens nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def container_directory(self, container_id: str) -> Path:
        """Where the container's record lies and its engine keeps what it needs."""
        return self.root / "containers" / container_id

    def save_sandbox(self, record: SandboxRecord) -> None:
        """Raises OSError."""
        _replace(self.root / "sandboxes" / record.id / "sandbox.json", record)

    def save_container(self, record: ContainerRecord) -> None:
        """Raises OSError."""
        _replace(self.container_directory(record.id) / "container.json", record)

    def save_network(self, record: NetworkRecord) -> None:
        """Raises OSError."""
        _replace(self.root / "network.json", record)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox and delete its files."""
        shutil.rmtree(self.root / "sandboxes" / sandbox_id, ignore_errors=True)

    def drop_container(self, container_id: str) -> None:
        """Forget a container and delete its files."""
        shutil.rmtree(self.container_directory(container_id), ignore_errors=True)

    def sandboxes(self) -> list[SandboxRecord]:
        """All sandboxes on disk."""
        return self._load("sandboxes", "sandbox.json", SandboxRecord)

    def containers(self) -> list[ContainerRecord]:
        """All containers on disk."""
        return self._load("containers", "container.json", ContainerRecord)

    def network(self) -> NetworkRecord:
        """The network record; an empty one before the kubelet has sent a CIDR."""
        return _read(self.root / "network.json", NetworkRecord) or NetworkRecord()

    def _load(self, directory: str, file_name: str, kind: type[R]) -> list[R]:
        found = []
        for home in sorted((self.root / directory).glob("*")):
            record = _read(home / file_name, kind)
            if record is None:
                log.warning("dropping a record that cannot be read", directory=str(home))
                shutil.rmtree(home, ignore_errors=True)
            else:
                found.append(record)
        return found


def _replace(path: Path, record: msgspec.Struct) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(record))
    scratch.replace(path)


def _read(path: Path, kind: type[R]) -> R | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
