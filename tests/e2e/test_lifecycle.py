"""Clusters as a whole: up, down, again with the data, side by side, and leaving nothing behind however they end."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .harness import MINIK8S, ROOT, Cluster, run, strays, until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kubectl_or_skip")]

SMALL = ("--stores", "1", "--apiservers", "1", "--nodes", "1")
CONFIG_MAP = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {a: b}}"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec: {containers: [{name: c, image: none, command: [sleep, '1000']}]}
"""


@pytest.fixture
def small(directory: Path) -> Iterator[Cluster]:
    """A small cluster, not yet started."""
    made = Cluster(directory, "small")
    yield made
    if made.directory.exists():
        print(made.logs())
        made.minik8s("down", "--delete", check=False)


def run_a_pod(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=POD)
    cluster.kubectl("wait", "pod/sleeper", "--for=condition=Ready", "--timeout=30s")


def test_data_and_pods_are_there_again_after_down_and_up(small: Cluster) -> None:
    printed = small.up(*SMALL).stdout
    assert "API ready" in printed and "nodes Ready" in printed and "context minik8s-small" in printed
    assert stat.S_IMODE(small.kubeconfig.stat().st_mode) == 0o600
    small.kubectl("create", "-f", "-", stdin=CONFIG_MAP)
    run_a_pod(small)
    again = small.up()
    assert "already running" in again.stdout
    processes = small.processes()
    small.down()
    assert not [name for name, process in processes.items() if process.is_alive()]
    assert not strays(small.directory)
    assert not small.kubeconfig.exists()
    small.up()
    assert small.get("configmap", "kept")["data"] == {"a": "b"}
    small.kubectl("wait", "pod/sleeper", "--for=condition=Ready", "--timeout=30s")
    small.down("--delete")
    assert not small.directory.exists()
    assert not strays(small.directory)


def test_status_tells_what_runs_and_what_does_not(small: Cluster) -> None:
    small.up(*SMALL)
    shown = json.loads(small.minik8s("status", "--json").stdout)
    assert [member["term"] > 0 for member in shown["members"]] == [True]
    assert all(component["health"] == "ok" and component["rss_kib"] for component in shown["components"]), shown
    assert shown["nodes"] == [{"name": "node-0", "ready": True}]
    assert "leader" in small.minik8s("status").stdout
    small.down()
    stopped = small.minik8s("status", check=False)
    assert stopped.returncode == 1
    assert "not running" in stopped.stdout


def test_a_killed_supervisor_leaves_no_process(small: Cluster) -> None:
    small.up(*SMALL)
    run_a_pod(small)
    small.processes()["supervisor"].kill(signal.SIGKILL)
    until(lambda: not strays(small.directory), f"no process of the cluster: {strays(small.directory)}")
    assert "stopped" in small.down().stdout
    small.up()
    small.kubectl("wait", "pod/sleeper", "--for=condition=Ready", "--timeout=30s")


def test_ctrl_c_ends_a_foreground_cluster(small: Cluster) -> None:
    line = [MINIK8S, "up", "--name", "small", "--data-dir", str(small.data_directory), "--foreground", *SMALL]
    line += ["--kubeconfig", str(small.kubeconfig)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=small.environment) as up:
        assert up.stdout is not None
        while "Ctrl-C stops" not in (printed := up.stdout.readline()):
            assert printed, "up ended"
        run_a_pod(small)
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0
    assert not strays(small.directory)
    assert not small.kubeconfig.exists()


def test_up_interrupted_half_way_leaves_no_process(small: Cluster) -> None:
    line = [MINIK8S, "up", "--name", "small", "--data-dir", str(small.data_directory), *SMALL]
    line += ["--kubeconfig", str(small.kubeconfig)]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=small.environment
    ) as up:
        assert up.stdout is not None
        while "first process" not in (printed := up.stdout.readline()):
            assert printed, "up ended"
        up.send_signal(signal.SIGINT)
        assert "interrupted" in up.stdout.read()
        assert up.wait(30) == 1
    assert not strays(small.directory)
    small.up(*SMALL)


def test_two_clusters_run_side_by_side_in_one_kubeconfig(directory: Path) -> None:
    clusters = [Cluster(directory, name) for name in ("one", "two")]
    config = directory / ".kube/config"
    try:
        for cluster in clusters:
            cluster.minik8s("up", *SMALL)
            cluster.kubeconfig = config
        contexts = [entry["name"] for entry in yaml.safe_load(config.read_text())["contexts"]]
        assert contexts == ["minik8s-one", "minik8s-two"]
        clusters[0].kubectl("--context", "minik8s-one", "create", "-f", "-", stdin=CONFIG_MAP)
        absent = clusters[0].kubectl("--context", "minik8s-two", "get", "configmap", "kept", check=False)
        assert "NotFound" in absent
        clusters[0].down("--delete")
        assert [entry["name"] for entry in yaml.safe_load(config.read_text())["contexts"]] == ["minik8s-two"]
        clusters[1].kubectl("--context", "minik8s-two", "get", "nodes")
    finally:
        for cluster in clusters:
            cluster.minik8s("down", "--delete", check=False)
    assert not config.exists()


def test_crashed_components_come_back(small: Cluster) -> None:
    small.up(*SMALL)
    run_a_pod(small)
    before = small.processes()
    for name, process in before.items():
        if name not in ("supervisor", "runtime-node-0"):
            process.kill(signal.SIGKILL)
    until(lambda: small.minik8s("status", check=False).returncode == 0, "a well cluster", timeout_s=40)
    after = small.processes()
    assert all(after[name] != process for name, process in before.items() if not name.startswith(("super", "runtime")))
    pod = small.get("pod", "sleeper")["status"]["containerStatuses"][0]
    assert pod["restartCount"] == 0, "a kubelet's crash is not its containers'"


def test_kill_leader_measures_until_writes_go_on(directory: Path) -> None:
    cluster = Cluster(directory, "ha")
    try:
        cluster.up("--apiservers", "1", "--nodes", "0")
        line = [sys.executable, str(ROOT / "scripts/demo.d/kill_leader.py"), "--name", "ha", "--times", "2"]
        printed = run([*line, "--data-dir", str(directory)]).stdout.splitlines()
        assert len(printed) == 2
        assert all("writes went on after" in row for row in printed)
    finally:
        cluster.minik8s("down", "--delete", check=False)


def test_a_port_in_use_is_named(small: Cluster) -> None:
    small.up(*SMALL)
    small.down()
    record = json.loads((small.directory / "cluster.json").read_text())
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        busy.bind(("127.0.0.1", record["ports"]["apiserver-0/rest"]))
        busy.listen()
        failed = small.up(check=False)
    assert failed.returncode == 1
    assert "apiserver-0" in failed.stdout and str(record["ports"]["apiserver-0/rest"]) in failed.stdout
    assert not strays(small.directory)


def test_a_data_directory_that_cannot_be_written_is_named(directory: Path) -> None:
    (directory / "file").write_text("")
    failed = Cluster(directory / "file").up(*SMALL, check=False)
    assert failed.returncode == 1
    assert str(directory / "file") in failed.stdout and "Traceback" not in failed.stdout


def is_kept(cluster: Cluster) -> bool:
    return not cluster.kubectl_run("get", "configmap", "kept", "--request-timeout=3s", check=False).returncode


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small file system")
def test_a_full_disk_loses_nothing_and_is_named(directory: Path) -> None:
    place = directory / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    cluster = Cluster(place, "full")
    try:
        cluster.up(*SMALL)
        cluster.kubectl("create", "-f", "-", stdin=CONFIG_MAP)
        filler = place / "filler"
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        (directory / "big").write_text("x" * 500_000)
        # Without a limit kubectl would try again, ten times.
        create = ("create", "configmap", "big", f"--from-file={directory / 'big'}", "--request-timeout=5s")
        failed = cluster.kubectl(*create, check=False)
        assert "created" not in failed
        until(lambda: "No space left" in cluster.logs(), "a log that says so")
        filler.unlink()
        until(lambda: is_kept(cluster), "the data again")
        assert cluster.get("configmap", "kept")["data"] == {"a": "b"}
    finally:
        cluster.minik8s("down", "--delete", check=False)
        subprocess.run(["umount", "-l", str(place)], check=False)


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def interpreter_of_anyone() -> tuple[list[str], dict[str, str]] | None:
    """A command line and environment with which any user can run minik8s: ours, or Debian's with our packages."""
    packages = f"{sysconfig.get_path('purelib')}:{ROOT / 'src'}"
    check = "import subprocess, sys, grpc, minik8s; subprocess.run([sys.executable, '-c', ''], check=True)"
    for python, more in ((sys.executable, {}), ("/usr/bin/python3", {"PYTHONPATH": packages})):
        environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **more}
        line = [*AS_NOBODY, python, "-c"]
        if not subprocess.run([*line, check], capture_output=True, cwd="/", env=environment).returncode:
            return [*line, "from minik8s.cli.main import main; main()"], environment
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user")
def test_it_runs_as_a_user_without_any_right(directory: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (Debian: util-linux)")
    found = interpreter_of_anyone()
    if found is None:
        pytest.skip("no interpreter and packages here that another user can read")
    line, environment = found
    directory.chmod(0o755)
    home = directory / "nobody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    environment |= {"HOME": str(home)}
    options = ["--name", "nobody", "--data-dir", str(home / "data")]
    kubeconfig = home / "kubeconfig"
    try:
        run([*line, "up", *options, "--kubeconfig", str(kubeconfig), *SMALL], environment=environment, timeout_s=120)
        cluster = Cluster(home / "data", "nobody")
        cluster.kubeconfig = kubeconfig
        run_a_pod(cluster)
        assert all(Path(f"/proc/{process.pid}").stat().st_uid == 65534 for process in cluster.processes().values())
    finally:
        run([*line, "down", *options, "--delete"], environment=environment, check=False, timeout_s=120)
    assert not strays(home)
