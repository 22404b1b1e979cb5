"""Clusters as a whole: up, down, again with the data, side by side, and leaving nothing behind however they end."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
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
        failed = cluster.kubectl("create", "configmap", "big", f"--from-literal=a={'x' * 200_000}", check=False)
        assert "created" not in failed
        until(lambda: "No space left" in cluster.logs(), "a log that says so")
        filler.unlink()
        until(lambda: cluster.kubectl_run("get", "configmap", "kept", check=False).returncode == 0, "the data again")
        assert cluster.get("configmap", "kept")["data"] == {"a": "b"}
    finally:
        cluster.minik8s("down", "--delete", check=False)
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user")
def test_it_runs_as_a_user_without_any_right(directory: Path) -> None:
    interpreter = shutil.which("setpriv")
    if interpreter is None:
        pytest.skip("needs setpriv (Debian: util-linux)")
    probe = subprocess.run(
        [interpreter, "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "import minik8s"],
        capture_output=True,
        cwd="/",
    )
    if probe.returncode:
        pytest.skip("this environment cannot be read by another user")
    directory.chmod(0o755)
    home = directory / "nobody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    line = [interpreter, "--reuid=65534", "--regid=65534", "--clear-groups", MINIK8S]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    options = ["--name", "nobody", "--data-dir", str(home / "data")]
    kubeconfig = home / "kubeconfig"
    try:
        run([*line, "up", *options, "--kubeconfig", str(kubeconfig), *SMALL], environment=environment, timeout_s=120)
        cluster = Cluster(home / "data", "nobody")
        cluster.kubeconfig = kubeconfig
        run_a_pod(cluster)
    finally:
        run([*line, "down", *options, "--delete"], environment=environment, check=False, timeout_s=120)
    assert not strays(home)
