"""Stock kubectl on real pods: what issue 2 promises, on our store and on a stock etcd."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import ROOT, Cluster, until

pytestmark = pytest.mark.slow

WEB = ROOT / "scripts/demo.d/web.yaml"

TALKER = """
apiVersion: v1
kind: Pod
metadata: {name: talker, namespace: NAMESPACE, labels: {app: talker}}
spec:
  terminationGracePeriodSeconds: 2
  containers:
    - name: main
      image: busybox
      command: [sh, -c, 'i=0; while true; do i=$((i+1)); echo "line $i from $WHO at $POD_IP"; sleep 0.2; done']
      env: [{name: WHO, value: talker}]
"""


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted without waiting."""
    name = f"t{time.monotonic_ns() % 10**9}"
    cluster.kubectl("create", "-f", "-", stdin=f"---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", check=False)


@pytest.fixture
def web(cluster: Cluster, namespace: str) -> str:
    """A namespace in which the demo's web server runs."""
    cluster.kubectl("apply", "-n", namespace, "-f", str(WEB))
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
    return namespace


def pods(cluster: Cluster, namespace: str) -> list[dict]:
    items = cluster.get("pods", "-n", namespace)["items"]
    return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]


def ask(cluster: Cluster, namespace: str) -> str:
    """One request to the Service, as a client on this machine makes it."""
    service = cluster.get("service", "web", "-n", namespace)["spec"]
    url = f"http://{service['clusterIP']}:8080/"
    line = ["curl", "-sS", "--max-time", "5", url]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout if done.returncode == 0 else ""


def test_nodes_are_ready_and_describe_shows_them(cluster: Cluster) -> None:
    table = cluster.kubectl("get", "nodes", "-o", "wide")
    assert table.count(" Ready ") == 2, table
    described = cluster.kubectl("describe", "node", "node-0")
    assert "Kubelet Version" in described
    assert "kubernetes.io/hostname=node-0" in described


def test_status_is_well_and_shows_the_store(cluster: Cluster) -> None:
    shown = cluster.minik8s("status").stdout
    assert "leader" in shown
    assert "unwell" not in shown


def test_apply_runs_a_deployment_and_applying_again_changes_nothing(cluster: Cluster, web: str) -> None:
    assert len(pods(cluster, web)) == 3
    assert "deployment.apps/web unchanged" in cluster.kubectl("apply", "-n", web, "-f", str(WEB))
    assert "3/3" in cluster.kubectl("get", "deployment", "web", "-n", web)
    names = {pod["metadata"]["name"] for pod in pods(cluster, web)}
    until(lambda: ask(cluster, web), "an answer of the Service")
    assert ask(cluster, web).split()[0] in names


def test_get_shows_tables_yaml_and_names(cluster: Cluster, web: str) -> None:
    wide = cluster.kubectl("get", "pods", "-n", web, "-o", "wide")
    assert wide.split()[:9] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE"]
    assert wide.count("1/1") == 3
    text = cluster.kubectl("get", "deployment", "web", "-n", web, "-o", "yaml")
    assert text.startswith("apiVersion: apps/v1\nkind: Deployment\n")
    assert cluster.kubectl("get", "service", "-n", web, "-o", "name") == "service/web\n"
    assert "endpointslice" in cluster.kubectl("get", "endpointslices", "-n", web, "-o", "name")
    for kind in ("namespaces", "nodes", "replicasets", "leases", "configmaps", "events"):
        cluster.kubectl("get", kind, "-A")


def test_get_watch_follows_changes(cluster: Cluster, web: str) -> None:
    line = cluster.kubectl_line("get", "pods", "-n", web, "-w", "--no-headers")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=cluster.environment) as watch:
        try:
            assert watch.stdout is not None
            first = {watch.stdout.readline().split()[0] for _ in range(3)}
            cluster.kubectl("scale", "deployment/web", "-n", web, "--replicas=4")
            seen: list[str] = []
            while not any("Running" in row and "1/1" in row for row in seen):
                seen.append(watch.stdout.readline())
                assert seen[-1], "the watch ended"
                seen = [row for row in seen if row.split()[0] not in first]
            assert "Pending" in seen[0]
        finally:
            watch.kill()


def test_scale_up_and_down(cluster: Cluster, web: str) -> None:
    cluster.kubectl("scale", "deployment/web", "-n", web, "--replicas=5")
    cluster.kubectl("rollout", "status", "-n", web, "deployment/web", "--timeout=60s")
    assert len(pods(cluster, web)) == 5
    cluster.kubectl("scale", "deployment/web", "-n", web, "--replicas=1")
    until(lambda: len(cluster.get("pods", "-n", web)["items"]) == 1, "one pod")


def test_rolling_update_and_undo(cluster: Cluster, web: str) -> None:
    cluster.kubectl("set", "image", "deployment/web", "-n", web, "web=python:3.13")
    cluster.kubectl("set", "env", "deployment/web", "-n", web, "VERSION=v2")
    cluster.kubectl("rollout", "status", "-n", web, "deployment/web", "--timeout=90s")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(cluster, web)} == {"python:3.13"}
    until(lambda: ask(cluster, web).endswith("v2\n"), "an answer of version 2")
    cluster.kubectl("rollout", "undo", "-n", web, "deployment/web", "--to-revision=1")
    cluster.kubectl("rollout", "status", "-n", web, "deployment/web", "--timeout=90s")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(cluster, web)} == {"python:3-slim"}
    history = cluster.kubectl("rollout", "history", "-n", web, "deployment/web")
    assert [row.split()[0] for row in history.splitlines()[2:] if row.strip()] == ["2", "3", "4"]


def test_label_describe_and_wait(cluster: Cluster, web: str) -> None:
    name = pods(cluster, web)[0]["metadata"]["name"]
    cluster.kubectl("label", "pod", name, "-n", web, "colour=blue")
    assert cluster.kubectl("get", "pods", "-n", web, "-l", "colour=blue", "-o", "name") == f"pod/{name}\n"
    assert cluster.kubectl("wait", "pod", name, "-n", web, "--for=condition=Ready", "--timeout=20s")
    described = cluster.kubectl("describe", "pod", name, "-n", web)
    assert "colour=blue" in described
    assert "Scheduled" in described and "Started" in described, described
    assert "NewReplicaSet" in cluster.kubectl("describe", "deployment", "web", "-n", web)
    assert "Endpoints:" in cluster.kubectl("describe", "service", "web", "-n", web)


def test_logs_and_following_them(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "-f", "-", stdin=TALKER.replace("NAMESPACE", namespace))
    cluster.kubectl("wait", "pod/talker", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    until(lambda: "line 3 from talker at 127." in cluster.kubectl("logs", "talker", "-n", namespace), "its third line")
    line = cluster.kubectl_line("logs", "-f", "talker", "-n", namespace, "--tail=1")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=cluster.environment) as follow:
        try:
            assert follow.stdout is not None
            numbers = [int(follow.stdout.readline().split()[1]) for _ in range(5)]
        finally:
            follow.kill()
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert len(cluster.kubectl("logs", "talker", "-n", namespace, "--tail=2").splitlines()) == 2


def test_a_crashing_container_is_restarted_with_back_off(cluster: Cluster, namespace: str) -> None:
    crashing = TALKER.replace("NAMESPACE", namespace).replace("i=0; while true", "echo once; exit 3; while true")
    cluster.kubectl("create", "-f", "-", stdin=crashing)

    def status() -> dict:
        return cluster.get("pod", "talker", "-n", namespace)["status"].get("containerStatuses", [{}])[0]

    until(lambda: status().get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff", "the back-off")
    until(lambda: status().get("lastState", {}).get("terminated", {}).get("exitCode") == 3, "exit code 3")
    assert "CrashLoopBackOff" in cluster.kubectl("get", "pod", "talker", "-n", namespace)


def test_a_container_without_a_command_says_which_engines_run_images(cluster: Cluster, namespace: str) -> None:
    pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: bare}, spec: {containers: [{name: c, image: nginx}]}}"
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=pod)
    until(lambda: "process" in cluster.kubectl("describe", "pod", "bare", "-n", namespace), "the reason")
    waiting = cluster.get("pod", "bare", "-n", namespace)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] in ("CreateContainerError", "RunContainerError")
    assert "image" in waiting["message"]


def test_a_pod_that_fits_nowhere_says_why(cluster: Cluster, namespace: str) -> None:
    big = TALKER.replace("NAMESPACE", namespace).replace(
        "image: busybox", "image: b\n      resources: {requests: {cpu: '999'}}"
    )
    cluster.kubectl("create", "-f", "-", stdin=big)
    why = "0/2 nodes are available: 2 Insufficient cpu."
    until(lambda: why in cluster.kubectl("describe", "pod", "talker", "-n", namespace), why)


def test_delete_ends_what_it_should(cluster: Cluster, web: str) -> None:
    cluster.kubectl("delete", "deployment", "web", "-n", web)
    until(lambda: not cluster.get("pods,replicasets", "-n", web)["items"], "no pod and no ReplicaSet")
    cluster.kubectl("delete", "namespace", web, timeout_s=60)
    assert "NotFound" in cluster.kubectl("get", "service", "web", "-n", web, check=False)


BAD = {
    "malformed YAML": ("a: [", "error parsing"),
    "unknown kind": ("---\n{apiVersion: v1, kind: Nonsense, metadata: {name: a}}", 'no matches for kind "Nonsense"'),
    "wrong type": (
        "---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: many}}",
        "replicas",
    ),
    "unknown field": ("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dta: {}}", 'unknown field "dta"'),
    "missing name": ("---\n{apiVersion: v1, kind: ConfigMap, data: {}}", "name"),
    "bad name": ("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: A_B}}", "RFC 1123"),
    "missing containers": (
        "---\n{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}",
        "spec.containers: Required value",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_a_clear_error(cluster: Cluster, what: str) -> None:
    text, message = BAD[what]
    done = cluster.kubectl_run("create", "-f", "-", stdin=text, check=False)
    assert done.returncode != 0
    assert message in done.stdout, done.stdout
    assert "Traceback" not in done.stdout


def test_a_body_of_ten_megabytes_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text(
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": "%s"}}' % ("x" * 10**7)
    )
    done = cluster.kubectl_run("create", "-f", str(path), check=False)
    assert done.returncode != 0
    assert "too large" in done.stdout.lower(), done.stdout[-500:]


def test_a_wrong_certificate_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    from minik8s.kit.tls import Authority

    stranger = Authority(tmp_path).issue("admin", user="kubernetes-admin", groups=["system:masters"])
    server = cluster.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    line = ["curl", "-sS", "-k", "--max-time", "5", "--cert", stranger.cert_file, "--key", stranger.key_file]
    done = subprocess.run([*line, f"{server}/api/v1/pods"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode != 0 or '"code":401' in done.stdout.replace(" ", ""), done.stdout
    assert '"items"' not in done.stdout
