"""Small pods and views of them, for tables."""

from typing import Any

import msgspec

from minik8s.api.core_v1 import Pod
from minik8s.node.kubelet.view import ContainerView, PodView, SandboxView


def make_pod(
    *, restart: str = "Always", status: dict[str, Any] | None = None, deleting: bool = False, **spec: Any
) -> Pod:
    """A pod of one container `c`, unless `containers` says otherwise."""
    meta = {"name": "web", "namespace": "default", "uid": "u1", "generation": 1}
    if deleting:
        meta |= {"deletionTimestamp": "2026-11-20T18:00:00Z", "deletionGracePeriodSeconds": 30}
    document = {
        "metadata": meta,
        "spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": restart} | spec,
        "status": status or {},
    }
    return msgspec.convert(document, Pod)


def sandbox(attempt: int = 0, *, ready: bool = True, ip: str = "127.9.0.2") -> SandboxView:
    return SandboxView(f"s{attempt}", attempt, ready, float(attempt), ip if ready else "")


def running(name: str = "c", attempt: int = 0, in_sandbox: int = 0) -> ContainerView:
    return ContainerView(f"{name}{attempt}", name, attempt, f"s{in_sandbox}", "running", started_at_s=50.0)


def created(name: str = "c", attempt: int = 0, in_sandbox: int = 0) -> ContainerView:
    return ContainerView(f"{name}{attempt}", name, attempt, f"s{in_sandbox}", "created")


def ended(name: str = "c", attempt: int = 0, code: int = 0, at_s: float = 90.0, in_sandbox: int = 0) -> ContainerView:
    return ContainerView(
        f"{name}{attempt}", name, attempt, f"s{in_sandbox}", "exited",
        started_at_s=50.0, finished_at_s=at_s, exit_code=code, reason="Error" if code else "Completed",
    )  # fmt: skip


def view(*containers: ContainerView, sandboxes: tuple[SandboxView, ...] | None = None) -> PodView:
    """Newest first, as the runtime's view is."""
    return PodView("u1", "default", "web", (sandbox(),) if sandboxes is None else sandboxes, containers)
