"""Waiting for a cluster to come up: the API ready, every node Ready, pods accepted; or the reason why it will not.

Gives up early when a component ends again and again, instead of letting the user wait for the deadline.
"""

import http.client
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from minik8s.cli.api import Api, is_node_ready
from minik8s.cli.cluster import Cluster
from minik8s.cli.progress import Progress
from minik8s.cli.supervisor import log_path, read_state
from minik8s.kit.clock import Clock, SystemClock

_LOOK_EVERY_S = 0.05
_FAILURES_MAX = 4  # 0.1 + 0.2 + 0.4 s of back-off: what is not well by then will not be
_LOG_LINES = 12


class StartupError(Exception):
    """The cluster did not come up; the message names the component and shows its last lines."""


@dataclass(slots=True)
class Startup:
    """One wait for one cluster. `is_supervised` tells whether its supervisor still runs."""

    cluster: Cluster
    directory: Path
    api: Api
    progress: Progress
    is_supervised: Callable[[], bool]
    wait_s: float
    clock: Clock = field(default_factory=SystemClock)

    def wait(self) -> None:
        """Return when everything is ready. Raises StartupError."""
        deadline_s = self.clock.monotonic_s() + self.wait_s
        self._until(lambda: read_state(self.directory) is not None, deadline_s, "the supervisor")
        self.progress.reached("first process")
        self._until(self.api.is_ready, deadline_s, "the API")
        self.progress.reached("API ready", self.cluster.api_url)
        ready: set[str] = set()
        self._until(lambda: self._see_nodes(ready), deadline_s, f"nodes Ready ({self.cluster.nodes} expected)")
        self.progress.reached("nodes Ready", " ".join(sorted(ready)))
        self._until(self._has_account, deadline_s, "the ServiceAccount that pods run as")

    def _has_account(self) -> bool:
        """Whether pods are accepted. The controllers make it while nodes start, so nobody waits for it in fact."""
        try:
            self.api.get("/api/v1/namespaces/default/serviceaccounts/default")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _see_nodes(self, ready: set[str]) -> bool:
        """Follow the nodes; True when all are Ready, False when the watch ended or paused before."""
        wanted = set(self.cluster.node_names)
        if wanted <= ready:
            return True
        try:
            listed = self.api.get("/api/v1/nodes")
            ready.clear()
            ready.update(node["metadata"]["name"] for node in listed["items"] if is_node_ready(node))
            if wanted <= ready:
                return True
            revision = listed["metadata"]["resourceVersion"]
            for event in self.api.watch(f"/api/v1/nodes?watch=1&resourceVersion={revision}", timeout_s=1.0):
                node = event["object"]
                if event["type"] in ("ADDED", "MODIFIED") and is_node_ready(node):
                    ready.add(node["metadata"]["name"])
                if wanted <= ready:
                    return True
        except (OSError, http.client.HTTPException):
            pass  # an API server may come and go while a cluster starts; _until looks for the reason
        return False

    def _until(self, is_reached: Callable[[], bool], deadline_s: float, what: str) -> None:
        while not is_reached():
            if not self.is_supervised():
                raise StartupError("the supervisor ended:\n" + tail(self.directory / "logs/supervisor.log"))
            state = read_state(self.directory)
            for task in state.tasks if state else ():
                if task.failures >= _FAILURES_MAX:
                    last = tail(log_path(self.directory, task.name))
                    raise StartupError(f"{task.name} ends again and again ({task.last_exit}):\n{last}")
            if self.clock.monotonic_s() > deadline_s:
                raise StartupError(f"waited {self.wait_s:g} s for {what}; logs: {self.directory / 'logs'}")
            sleep(_LOOK_EVERY_S)


def tail(path: Path, lines: int = _LOG_LINES) -> str:
    """The last lines of a log, indented; says so when there is none."""
    try:
        found = path.read_text(errors="replace").splitlines()[-lines:]
    except OSError as error:
        found = [f"(no log: {error.strerror})"]
    return "\n".join(f"    {line}" for line in found or ["(its log is empty)"])
