"""Stopping a cluster, whatever state it is in: running, half started, or left behind by a killed supervisor."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from minik8s.cli import kubeconfig
from minik8s.cli.cluster import Cluster
from minik8s.cli.process import Process, find, stop, wait
from minik8s.cli.supervisor import GRACE_S, STATE_FILE, read_state

# The supervisor gives each of its five stages GRACE_S, and needs a moment itself.
_SUPERVISOR_GRACE_S = 5 * GRACE_S + 10


@dataclass(frozen=True, slots=True)
class Teardown:
    """What `down` and the end of a foreground `up` do."""

    cluster: Cluster
    directory: Path

    def run(self, *, delete: bool = False) -> list[Process]:
        """Stop it, take its context out of the kubeconfig, delete its data if asked; what had to be killed."""
        killed = stop_cluster(self.directory)
        file = Path(self.cluster.kubeconfig) if self.cluster.kubeconfig else kubeconfig.user_file()
        kubeconfig.remove(file, self.cluster.context)
        if delete:
            shutil.rmtree(self.directory)
        return killed


def stop_cluster(directory: Path, grace_s: float = GRACE_S) -> list[Process]:
    """End every process of the cluster in `directory`; what had to be killed. Nothing to stop is fine."""
    state = read_state(directory)
    if state is None:
        return []
    killed = stop([state.supervisor], _SUPERVISOR_GRACE_S)
    components = [task.process for task in state.tasks if task.process]
    # Without a supervisor they were sent SIGTERM by the kernel: a second one would cut their clean-up short.
    killed += stop(wait(components, grace_s), min(1.0, grace_s))
    # Normally none: the runtime ends its containers, and the supervisor those of a runtime that was killed.
    killed += stop(containers(directory), min(1.0, grace_s))
    (directory / STATE_FILE).unlink(missing_ok=True)
    return killed


def containers(directory: Path) -> list[Process]:
    """Processes of containers whose runtime keeps its state below `directory`: known by their environment."""
    root = f"\0CONTAINER_ROOT={directory}/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = b"\0" + (path / "environ").read_bytes()
            if root in environment and b"\0MINIK8S_CONTAINER_ID=" in environment:
                found.append(find(int(path.name)))
    return [process for process in found if process]
