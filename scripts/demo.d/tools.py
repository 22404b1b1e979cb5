"""What the demo's steps are made of: commands, loads in processes of their own, waiting, processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from minik8s.cli.process import Process, cpu_s, memory_kib
from minik8s.cli.supervisor import read_state

HERE = Path(__file__).parent


class DemoError(Exception):
    """A step did not show what it should."""


def kubectl_path() -> str:
    """$KUBECTL, or the newest real kubectl up to 1.31 beside a dispatcher, or what PATH has."""
    if given := os.environ.get("KUBECTL"):
        return given
    found = shutil.which("kubectl")
    if found is None:
        raise DemoError("there is no kubectl: install one, or set KUBECTL (as root, scripts/setup does)")
    versioned = Path(found).resolve().with_name("kubectl.1.31")
    return str(versioned) if versioned.exists() else found


class Cluster:
    """The demo's own cluster: its directory, kubectl for it, its processes."""

    def __init__(self, data_directory: Path, name: str) -> None:
        self.name, self.data_directory = name, data_directory
        self.directory = data_directory / name
        self.kubeconfig = data_directory / "kubeconfig"
        self._kubectl = kubectl_path()
        self._environment = os.environ | {"KUBECACHEDIR": str(data_directory / "kube-cache")}

    def minik8s(self, command: str, *args: str, check: bool = True, capture: bool = True) -> str:
        line = [str(Path(sys.executable).with_name("minik8s")), command, "--name", self.name]
        return _run([*line, "--data-dir", str(self.data_directory), *args], check=check, capture=capture)

    def kubectl(self, *args: str, check: bool = True, timeout_s: float = 90) -> str:
        line = [self._kubectl, "--kubeconfig", str(self.kubeconfig), *args]
        return _run(line, check=check, environment=self._environment, timeout_s=timeout_s)

    def kubectl_json(self, *args: str) -> dict:
        return json.loads(self.kubectl(*args, "-o", "json"))

    def show(self, *args: str) -> None:
        """Run kubectl as a reader would, and show both."""
        print(f"   $ kubectl {' '.join(args)}")
        print(indent(self.kubectl(*args)))

    def process(self, component: str) -> Process:
        """A component's process now. Raises DemoError when it has none."""
        for task in self._tasks():
            if task.name == component and task.process and task.process.is_alive():
                return task.process
        raise DemoError(f"{component} has no process")

    def processes(self) -> dict[str, Process]:
        """Every component's process, and the supervisor's."""
        state = read_state(self.directory)
        found = {task.name: task.process for task in self._tasks() if task.process}
        return found | ({"supervisor": state.supervisor} if state else {})

    def cpu_s(self) -> float:
        return sum(cpu_s(process.pid) for process in self.processes().values())

    def memory_mib(self) -> dict[str, float]:
        """Proportional memory by component."""
        return {name: memory_kib(process.pid)[1] / 1024 for name, process in self.processes().items()}

    def restarts(self) -> dict[str, int]:
        return {task.name: task.restarts for task in self._tasks()}

    def _tasks(self):  # type: ignore[no-untyped-def]
        state = read_state(self.directory)
        return state.tasks if state else []


class Load:
    """A load script running beside the demo; `finish` asks it to stop and returns its findings."""

    def __init__(self, script: str, *args: object) -> None:
        line = [sys.executable, str(HERE / script), *map(str, args)]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._name = script

    def finish(self) -> dict:
        """Its findings. Raises DemoError if it crashed; faults it found are in what it returns."""
        out, _ = self._process.communicate("", timeout=120)
        try:
            return json.loads(out)
        except ValueError:
            raise DemoError(f"{self._name} crashed (exit code {self._process.returncode})") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def until(condition: Callable[[], object], what: str, timeout_s: float = 30) -> float:
    """Wait until `condition` is true; the seconds it took. Raises DemoError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise DemoError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)
    return time.monotonic() - started


def indent(text: str) -> str:
    return "\n".join(f"     {line}" for line in text.rstrip().splitlines())


def _run(
    line: list[str],
    *,
    check: bool,
    capture: bool = True,
    environment: dict[str, str] | None = None,
    timeout_s: float = 120,
) -> str:
    out = subprocess.PIPE if capture else None
    # The output is waited for, and nothing else: a daemon left behind must not hold a pipe open.
    done = subprocess.run(line, stdout=out, stderr=subprocess.STDOUT, text=True, env=environment, timeout=timeout_s)
    if check and done.returncode:
        raise DemoError(f"{' '.join(line)} failed with {done.returncode}:\n{indent(done.stdout or '')}")
    return done.stdout or ""
