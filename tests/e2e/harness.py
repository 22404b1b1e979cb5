"""A cluster of real processes, driven as a user would: by `minik8s` and a stock kubectl."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from minik8s.cli.process import Process
from minik8s.cli.supervisor import read_state

ROOT = Path(__file__).resolve().parents[2]
MINIK8S = str(Path(sys.executable).with_name("minik8s"))
UP_TIMEOUT_S = 120


def find_kubectl() -> str | None:
    """$KUBECTL; else the 1.31 that lies beside a dispatcher; else what PATH has."""
    if given := os.environ.get("KUBECTL"):
        return given
    found = shutil.which("kubectl")
    if found is None:
        return None
    versioned = Path(found).resolve().with_name("kubectl.1.31")
    return str(versioned) if versioned.exists() else found


class Cluster:
    """One named cluster below `data_directory`."""

    def __init__(self, data_directory: Path, name: str = "e2e") -> None:
        self.name, self.data_directory = name, data_directory
        self.directory = data_directory / name
        self.kubeconfig = data_directory / f"{name}.kubeconfig"
        self.environment = os.environ | {"HOME": str(data_directory), "KUBECACHEDIR": str(data_directory / "cache")}
        self.environment.pop("KUBECONFIG", None)

    def minik8s(
        self, command: str, *args: str, check: bool = True, timeout_s: float = UP_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        line = [MINIK8S, command, "--name", self.name, "--data-dir", str(self.data_directory), *args]
        return run(line, check=check, environment=self.environment, timeout_s=timeout_s)

    def up(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.minik8s("up", "--kubeconfig", str(self.kubeconfig), *args, check=check)

    def down(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.minik8s("down", *args)

    def kubectl(self, *args: str, check: bool = True, stdin: str = "", timeout_s: float = 90) -> str:
        """Standard output and error of kubectl, together."""
        return self.kubectl_run(*args, check=check, stdin=stdin, timeout_s=timeout_s).stdout

    def kubectl_run(
        self, *args: str, check: bool = True, stdin: str = "", timeout_s: float = 90
    ) -> subprocess.CompletedProcess[str]:
        line = self.kubectl_line(*args)
        return run(line, check=check, environment=self.environment, stdin=stdin, timeout_s=timeout_s)

    def kubectl_line(self, *args: str) -> list[str]:
        kubectl = find_kubectl()
        assert kubectl is not None
        return [kubectl, "--kubeconfig", str(self.kubeconfig), *args]

    def get(self, *args: str) -> dict:
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def processes(self) -> dict[str, Process]:
        """What the supervisor says runs now, itself included."""
        state = read_state(self.directory)
        if state is None:
            return {}
        found = {task.name: task.process for task in state.tasks if task.process}
        return found | {"supervisor": state.supervisor}

    def logs(self) -> str:
        """The end of every component's log, for a failed test's report."""
        found = sorted((self.directory / "logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in found)


def run(
    line: list[str],
    *,
    check: bool = True,
    environment: dict[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 90,
) -> subprocess.CompletedProcess[str]:
    """Run to the end; a failure shows what was printed."""
    done = subprocess.run(
        line,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        timeout=timeout_s,
    )
    assert not (check and done.returncode), f"{' '.join(line)} failed with {done.returncode}:\n{done.stdout}"
    return done


def until(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Wait for a condition; fails the test by saying what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.05)


def strays(directory: Path) -> list[str]:
    """Processes that work below `directory`, or name it in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        if path.name == str(os.getpid()):
            continue
        try:
            place, line = str((path / "cwd").readlink()), (path / "cmdline").read_bytes()
        except OSError:
            continue
        if place.startswith(str(directory)) or str(directory).encode() in line:
            found.append(f"{path.name}: {line.replace(bytes(1), b' ').decode(errors='replace')[:200]} (in {place})")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Etcd:
    """A stock etcd of one member, over plain HTTP on loopback."""

    def __init__(self, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        line = ["etcd", "--data-dir", str(directory), "--listen-client-urls", self.url]
        line += ["--advertise-client-urls", self.url, "--listen-peer-urls", peer]
        line += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}", "--unsafe-no-fsync"]
        directory.mkdir(parents=True)
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log)
        until(self._answers, "etcd")

    def _answers(self) -> bool:
        host, port = self.url.removeprefix("http://").split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
