"""What the runtime says of one pod, as values: the input of states.py and status.py, beside the pod itself."""

from dataclasses import dataclass, field
from typing import Literal

ContainerState = Literal["created", "running", "exited", "unknown"]


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One attempt at one container of the pod's spec."""

    id: str
    name: str
    attempt: int  # restarts before this one
    sandbox_id: str
    state: ContainerState
    created_at_s: float = 0.0
    started_at_s: float = 0.0
    finished_at_s: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    log_path: str = ""


@dataclass(frozen=True, slots=True)
class SandboxView:
    """One attempt at the pod's sandbox."""

    id: str
    attempt: int
    is_ready: bool
    created_at_s: float = 0.0
    ip: str = ""  # "" when the pod uses the node's network


@dataclass(frozen=True, slots=True)
class PodView:
    """Everything the runtime has of a pod: newest sandbox first, newest container first."""

    uid: str
    namespace: str = ""
    name: str = ""
    sandboxes: tuple[SandboxView, ...] = field(default=())
    containers: tuple[ContainerView, ...] = field(default=())

    @property
    def sandbox(self) -> SandboxView | None:
        """The newest sandbox, ready or not."""
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ready_sandbox(self) -> SandboxView | None:
        """The sandbox containers may run in: the newest, if it is ready."""
        return self.sandboxes[0] if self.sandboxes and self.sandboxes[0].is_ready else None

    def latest(self, name: str) -> ContainerView | None:
        """The newest attempt at the container `name`."""
        return next((container for container in self.containers if container.name == name), None)

    def attempts(self, name: str) -> list[ContainerView]:
        """All attempts at the container `name`, newest first."""
        return [container for container in self.containers if container.name == name]

    def running(self) -> list[ContainerView]:
        """Containers with a live program, or one that is about to have it."""
        return [container for container in self.containers if container.state in ("running", "created", "unknown")]
