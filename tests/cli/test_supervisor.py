"""The fork server with toy components: starting, restarting, stopping, and leaving nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from minik8s.cli import supervisor
from minik8s.cli.process import Process, find
from minik8s.cli.supervisor import Plan, State, Task, read_state
from minik8s.cli.teardown import containers, stop_cluster

HERE = Path(__file__).parent


def toys(*whats: str) -> list[Task]:
    return [Task(name=f"{what}-{i}", module="toy", args=[what]) for i, what in enumerate(whats)]


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Cluster:
    """A supervisor process in its own directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, tasks: list[Task], **options: object) -> None:
        plan = Plan(directory=str(self.directory), tasks=tasks, **options)
        with (self.directory / "supervisor.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "minik8s.cli.supervisor"],
                stdin=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(HERE)},
            )
        self.process.stdin.write(msgspec.json.encode(plan))
        self.process.stdin.close()

    @property
    def state(self) -> State | None:
        return read_state(self.directory)

    def pids(self) -> list[Process]:
        return [task.process for task in self.state.tasks if task.process] if self.state else []

    def until_running(self, count: int) -> list[Process]:
        until(lambda: len(self.pids()) == count)
        return self.pids()

    def until_log(self, name: str, text: str) -> None:
        path = supervisor.log_path(self.directory, name)
        until(lambda: path.exists() and text in path.read_text())

    def log(self) -> str:
        return (self.directory / "supervisor.log").read_text()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    stop_cluster(tmp_path)
    if made.process:
        made.process.kill()
        made.process.wait()


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 0.1), (2, 0.2), (5, 1.6), (8, 10.0), (10_000, 10.0)])
def test_the_wait_before_a_restart_doubles_from_a_tenth_of_a_second_to_ten(failures: int, delay_s: float) -> None:
    assert supervisor.restart_delay_s(failures) == delay_s


def test_a_full_log_is_moved_aside_and_writers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("a") as writer:
        writer.write("old" * 10)
        writer.flush()
        supervisor.cap_logs(tmp_path, 10)
        writer.write("new")
        writer.flush()
    assert path.read_text() == "new"
    assert (tmp_path / "a.log.1").read_text() == "old" * 10


def test_a_claim_is_held_by_one_at_a_time() -> None:
    with supervisor.claim("test/claim"), pytest.raises(OSError):
        supervisor.claim("test/claim")
    supervisor.claim("test/claim").close()


@pytest.mark.slow
def test_sigterm_stops_every_component_and_the_supervisor(cluster: Cluster) -> None:
    cluster.start(toys("clean", "steady"))
    processes = cluster.until_running(2)
    cluster.until_log("clean-0", "toy")
    cluster.process.terminate()
    assert cluster.process.wait(10) == 0
    assert not any(process.is_alive() for process in processes)
    assert cluster.state is None
    assert "cleaned up" in supervisor.log_path(cluster.directory, "clean-0").read_text()


@pytest.mark.slow
def test_a_killed_component_is_restarted_with_a_new_pid(cluster: Cluster) -> None:
    cluster.start(toys("steady"))
    (first,) = cluster.until_running(1)
    first.kill(signal.SIGKILL)
    until(lambda: cluster.state.tasks[0].restarts == 1 and cluster.pids())
    assert cluster.pids() != [first]
    assert cluster.state.tasks[0].last_exit == "signal SIGKILL"


@pytest.mark.slow
def test_a_component_that_cannot_start_is_counted_as_failing(cluster: Cluster) -> None:
    cluster.start(toys("failing", "steady"))
    until(lambda: cluster.state and cluster.state.tasks[0].failures >= 3)
    assert cluster.state.tasks[0].last_exit == "exit code 1"
    assert "cannot listen" in supervisor.log_path(cluster.directory, "failing-0").read_text()
    assert cluster.state.tasks[1].restarts == 0


@pytest.mark.slow
def test_a_killed_supervisor_takes_its_components_along(cluster: Cluster) -> None:
    cluster.start(toys("clean", "steady"))
    processes = cluster.until_running(2)
    cluster.until_log("clean-0", "toy")
    cluster.process.kill()
    until(lambda: not any(process.is_alive() for process in processes))
    assert "cleaned up" in supervisor.log_path(cluster.directory, "clean-0").read_text()


@pytest.mark.slow
def test_what_a_killed_supervisor_left_is_stopped_and_a_recycled_pid_is_not(cluster: Cluster) -> None:
    cluster.start(toys("stubborn", "steady"))
    stubborn, steady = cluster.until_running(2)
    cluster.until_log("stubborn-0", "toy")
    cluster.process.kill()
    cluster.process.wait()
    bystander = find(os.getpid())
    left = cluster.state
    tasks = [msgspec.structs.replace(left.tasks[1], process=Process(bystander.pid, "another boot/1")), left.tasks[0]]
    (cluster.directory / supervisor.STATE_FILE).write_bytes(
        msgspec.json.encode(msgspec.structs.replace(left, tasks=tasks))
    )
    assert stop_cluster(cluster.directory, grace_s=0.2) == [stubborn]
    assert bystander.is_alive()
    assert not steady.is_alive()


@pytest.mark.slow
def test_the_child_of_a_killed_component_ends_with_the_cluster(cluster: Cluster) -> None:
    cluster.start(toys("orphan"))
    (parent,) = cluster.until_running(1)
    cluster.until_log("orphan-0", "child")
    child = find(int(supervisor.log_path(cluster.directory, "orphan-0").read_text().split()[-1]))
    parent.kill(signal.SIGKILL)
    until(lambda: cluster.state.tasks[0].restarts == 1)
    assert child.is_alive(), "a component's crash is not its children's"
    cluster.process.terminate()
    cluster.process.wait(10)
    assert not child.is_alive()


@pytest.mark.slow
def test_containers_that_outlived_everything_are_stopped_and_others_are_not(cluster: Cluster) -> None:
    cluster.start(toys("steady"))
    cluster.until_running(1)
    inside = {"CONTAINER_ROOT": f"{cluster.directory}/runtime/c", "MINIK8S_CONTAINER_ID": "c"}
    outside = inside | {"CONTAINER_ROOT": f"{cluster.directory}-other/runtime/c"}
    with (
        subprocess.Popen(["sleep", "600"], env=inside) as ours,
        subprocess.Popen(["sleep", "600"], env=outside) as other,
    ):
        until(lambda: containers(cluster.directory))
        cluster.process.kill()
        cluster.process.wait()
        stop_cluster(cluster.directory)
        assert ours.wait(5) == -signal.SIGTERM
        assert other.poll() is None
        other.kill()


@pytest.mark.slow
def test_a_second_supervisor_of_the_same_cluster_refuses(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(toys("steady"))
    processes = cluster.until_running(1)
    other = Cluster(tmp_path)
    other.start(toys("steady"))
    assert other.process.wait(10) == 1
    assert "another supervisor runs this cluster" in other.log()
    assert processes[0].is_alive()


@pytest.mark.slow
def test_two_clusters_cannot_use_the_same_addresses_at_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(toys("steady"), claims=["test/addresses"])
    cluster.until_running(1)
    (tmp_path / "other").mkdir()
    other = Cluster(tmp_path / "other")
    other.start(toys("steady"), claims=["test/addresses"])
    assert other.process.wait(10) == 1
    assert "another running cluster" in other.log()


@pytest.mark.slow
def test_components_see_none_of_the_supervisors_descriptors(cluster: Cluster) -> None:
    cluster.start(toys("steady"), claims=["test/descriptors"])
    (process,) = cluster.until_running(1)
    cluster.until_log("steady-0", "toy")
    targets = [str(path.readlink()) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert not [target for target in targets if "supervisor.lock" in target or target.startswith("socket")]


@pytest.mark.slow
def test_it_ends_without_a_plan(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "minik8s.cli.supervisor"], stdin=subprocess.DEVNULL, timeout=20)
    assert done.returncode == 0
