"""Stock kubectl against the apiserver over a stock etcd."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from .cluster import Cluster

pytestmark = pytest.mark.slow

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1", ports: [{containerPort: 80}]}]}
"""
CONFIGMAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n"
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n"


def test_apply_creates_leaves_alone_and_configures(kubectl):
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert kubectl("apply", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web unchanged\n"
    changed = DEPLOYMENT.replace("replicas: 2", "replicas: 3").replace("nginx:1", "nginx:2")
    assert kubectl("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    web = json.loads(kubectl("get", "deployment", "web", "-o", "json"))
    assert (web["spec"]["replicas"], web["metadata"]["generation"]) == (3, 2)
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"


def test_apply_removes_what_it_no_longer_says_and_keeps_what_others_said(kubectl):
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("label", "deployment", "web", "theirs=yes")
    kubectl("patch", "deployment", "web", "-p", _container("sidecar", "x"))
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace(", ports: [{containerPort: 80}]", ""))
    web = json.loads(kubectl("get", "deployment", "web", "-o", "json"))
    assert web["metadata"]["labels"] == {"app": "web", "theirs": "yes"}
    containers = {each["name"]: each for each in web["spec"]["template"]["spec"]["containers"]}
    assert set(containers) == {"web", "sidecar"}
    assert "ports" not in containers["web"]


def test_get_prints_in_every_format(kubectl):
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    header, row = kubectl("get", "deployments").splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "0/2", "0", "0"]
    wide = kubectl("get", "deployments", "-o", "wide")
    assert wide.split()[5:8] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert kubectl("get", "deployments", "-o", "name") == "deployment.apps/web\n"
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    assert "\n  replicas: 2\n" in kubectl("get", "deploy", "web", "-o", "yaml")
    assert kubectl("get", "deploy", "-l", "app=web", "--no-headers").startswith("web")
    assert kubectl("get", "deploy", "-l", "app!=web", "-o", "name") == ""
    assert kubectl("get", "deploy", "--field-selector", "metadata.name=web", "-o", "name") != ""
    assert "app=web" in kubectl("get", "deploy", "--show-labels")
    assert "web" in kubectl("get", "all")
    assert kubectl("get", "deploy,cm", "--chunk-size=1", "-o", "name") == "deployment.apps/web\n"
    assert kubectl("get", "--raw", "/readyz") == "ok"


def test_a_list_in_chunks_is_whole(kubectl):
    for number in range(5):
        kubectl("create", "-f", "-", stdin=CONFIGMAP.replace("settings", f"c{number}"))
    names = kubectl("get", "configmaps", "--chunk-size=2", "-o", "name").split()
    assert names == [f"configmap/c{number}" for number in range(5)]


@pytest.mark.parametrize("target", [["configmaps"], ["configmap", "settings"]], ids=["all", "one"])
def test_get_watch_prints_changes_as_they_come(cluster: Cluster, namespace, kubectl, target):
    kubectl("create", "-f", "-", stdin=CONFIGMAP)
    line = cluster.kubectl_line("-n", namespace, "get", *target, "-w", "--no-headers")
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=cluster.environment(), text=True) as process:
        assert process.stdout
        assert process.stdout.readline().split()[:2] == ["settings", "1"]
        time.sleep(0.3)  # kubectl's list and watch are two requests
        kubectl("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"c":"d"}}')
        assert process.stdout.readline().split()[:2] == ["settings", "2"]
        process.terminate()


def test_describe_tells_of_the_object_and_its_events(kubectl, namespace):
    kubectl("create", "-f", "-", stdin=POD)
    uid = kubectl("get", "pod", "p", "-o", "jsonpath={.metadata.uid}")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace, "uid": uid},
        "reason": "Noticed",
        "message": "somebody looked",
        "type": "Normal",
    }
    kubectl("create", "-f", "-", stdin=json.dumps(event))
    described = kubectl("describe", "pod", "p")
    assert "Name:" in described
    assert "somebody looked" in described
    assert "Noticed" in kubectl("get", "events")


def test_labels_and_annotations_come_and_go(kubectl):
    kubectl("create", "-f", "-", stdin=CONFIGMAP)
    assert kubectl("label", "configmap", "settings", "x=1") == "configmap/settings labeled\n"
    assert "already has a value" in kubectl("label", "configmap", "settings", "x=2", fails=True)
    kubectl("label", "configmap", "settings", "x=2", "--overwrite")
    kubectl("annotate", "configmap", "settings", "note=hello")
    found = json.loads(kubectl("get", "configmap", "settings", "-o", "json"))["metadata"]
    assert (found["labels"], found["annotations"]) == ({"x": "2"}, {"note": "hello"})
    kubectl("label", "configmap", "settings", "x-")
    assert "labels" not in json.loads(kubectl("get", "configmap", "settings", "-o", "json"))["metadata"]


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:9"}]}}}}'),
        ("merge", '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:9"}]}}}}'),
        ("json", '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:9"}]'),
    ],
)
def test_three_kinds_of_patch(kubectl, kind, patch):
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl("patch", "deployment", "web", f"--type={kind}", "-p", patch) == "deployment.apps/web patched\n"
    image = kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image == "nginx:9"
    assert "no change" in kubectl("patch", "deployment", "web", f"--type={kind}", "-p", patch)


def test_scale_set_image_and_rollout_commands_write(kubectl):
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl("scale", "deployment", "web", "--replicas=5") == "deployment.apps/web scaled\n"
    kubectl("scale", "deployment", "web", "--current-replicas=5", "--replicas=1")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    kubectl("set", "image", "deployment/web", "web=nginx:3")
    kubectl("rollout", "pause", "deployment/web")
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "restart", "deployment/web")
    template = json.loads(kubectl("get", "deploy", "web", "-o", "json"))["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "nginx:3"
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def test_replace_and_edit_write_what_they_read(kubectl, tmp_path: Path):
    kubectl("create", "-f", "-", stdin=CONFIGMAP)
    read = json.loads(kubectl("get", "configmap", "settings", "-o", "json"))
    read["data"] = {"new": "value"}
    assert kubectl("replace", "-f", "-", stdin=json.dumps(read)) == "configmap/settings replaced\n"
    assert "the object has been modified" in kubectl("replace", "-f", "-", stdin=json.dumps(read), fails=True)
    kubectl("replace", "--force", "-f", "-", stdin=CONFIGMAP)
    assert kubectl("get", "configmap", "settings", "-o", "jsonpath={.data}") == '{"a":"b"}'


def test_dry_runs_and_diffs_write_nothing(cluster: Cluster, kubectl, namespace):
    assert "created (server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl("get", "deployments", "-o", "name") == ""
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=7", "--dry-run=server")
    kubectl("delete", "deployment", "web", "--dry-run=server")
    kubectl("label", "deployment", "web", "x=y", "--dry-run=server")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
    line = cluster.kubectl_line("-n", namespace, "diff", "-f", "-")
    done = subprocess.run(
        line,
        input=DEPLOYMENT.replace("replicas: 2", "replicas: 4"),
        capture_output=True,
        text=True,
        env=cluster.environment(),
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert "+  replicas: 4" in done.stdout


def test_wait_sees_conditions_and_deletions(cluster: Cluster, kubectl, namespace):
    kubectl("create", "-f", "-", stdin=POD)
    line = cluster.kubectl_line(
        "-n", namespace, "wait", "--for=jsonpath={.metadata.labels.x}=1", "pod/p", "--timeout=20s"
    )
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=cluster.environment(), text=True) as waiting:
        kubectl("label", "pod", "p", "x=1")
        assert waiting.wait(20) == 0
    line = cluster.kubectl_line("-n", namespace, "wait", "--for=delete", "pod/p", "--timeout=20s")
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=cluster.environment(), text=True) as waiting:
        kubectl("delete", "pod", "p")
        assert waiting.wait(20) == 0
    assert "timed out" in _wait_for_nothing(kubectl)


def _wait_for_nothing(kubectl) -> str:
    kubectl("create", "-f", "-", stdin=POD)
    return kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=1s", fails=True)


def test_delete_by_name_file_and_label(kubectl):
    for name in "abc":
        kubectl("create", "-f", "-", stdin=CONFIGMAP.replace("settings", name))
    kubectl("label", "configmap", "b", "c", "x=1")
    assert kubectl("delete", "configmap", "a") == 'configmap "a" deleted\n'
    kubectl("delete", "configmaps", "-l", "x=1")
    assert kubectl("get", "configmaps", "-o", "name") == ""
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    kubectl("delete", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl("delete", "deployment", "web", "--ignore-not-found") == ""
    kubectl("create", "-f", "-", stdin=POD)
    kubectl("delete", "pod", "p", "--force", "--grace-period=0")
    kubectl("get", "pod", "p", fails=True)


def test_services_get_addresses(kubectl):
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n"
    kubectl("apply", "-f", "-", stdin=service)
    address = kubectl("get", "service", "s", "-o", "jsonpath={.spec.clusterIP}")
    assert address.startswith("10.96.")
    assert address in kubectl("get", "services")
    kubectl("describe", "service", "s")


def test_explain_reads_the_published_schema(kubectl):
    explained = kubectl("explain", "deployment.spec.strategy")
    assert "rollingUpdate" in explained
    assert "VERSION:    v1" in explained


BAD = {
    "missing": (["get", "pod", "nope"], None, 'Error from server (NotFound): pods "nope" not found'),
    "unknown kind of resource": (["get", "gadgets"], None, 'the server doesn\'t have a resource type "gadgets"'),
    "unknown kind in a file": (
        ["apply", "-f", "-"],
        "apiVersion: v1\nkind: Gadget\nmetadata: {name: a}\n",
        'no matches for kind "Gadget" in version "v1"',
    ),
    "unknown field": (
        ["create", "-f", "-"],
        DEPLOYMENT.replace("replicas", "replicaz"),
        'strict decoding error: unknown field "spec.replicaz"',
    ),
    "wrong type": (
        ["create", "-f", "-"],
        DEPLOYMENT.replace("replicas: 2", "replicas: many"),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ),
    "malformed YAML": (["create", "-f", "-"], "apiVersion: v1\nkind: [\n", "error converting YAML to JSON"),
    "missing name": (
        ["create", "-f", "-"],
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
        "name or generateName is required",
    ),
    "bad name": (["create", "-f", "-"], CONFIGMAP.replace("settings", "Not_A_Name"), "metadata.name: Invalid value"),
    "no selector": (
        ["create", "-f", "-"],
        DEPLOYMENT.replace("  selector: {matchLabels: {app: web}}\n", ""),
        "spec.selector: Required value",
    ),
    "selector that misses its template": (
        ["create", "-f", "-"],
        DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: other}"),
        "`selector` does not match template `labels`",
    ),
    "bad label selector": (["get", "pods", "-l", "a in"], None, "unable to parse requirement"),
    "bad field selector": (["get", "pods", "--field-selector", "spec.nope=1"], None, "field label not supported"),
    "unknown namespace": (["create", "-n", "nope", "-f", "-"], CONFIGMAP, 'namespaces "nope" not found'),
    "patch of nothing": (["patch", "cm", "nope", "-p", "{}"], None, 'configmaps "nope" not found'),
    "immortal namespace": (["delete", "namespace", "default"], None, "this namespace may not be deleted"),
}


@pytest.mark.parametrize(("args", "stdin", "text"), BAD.values(), ids=BAD)
def test_bad_input_is_told_clearly(kubectl, args, stdin, text):
    assert text in kubectl(*args, stdin=stdin, fails=True)


def test_a_duplicate_is_told(kubectl):
    kubectl("create", "-f", "-", stdin=CONFIGMAP)
    expected = 'Error from server (AlreadyExists): error when creating "STDIN": configmaps "settings" already exists'
    assert expected in kubectl("create", "-f", "-", stdin=CONFIGMAP, fails=True)


def test_ten_megabytes_are_too_much(kubectl):
    large = json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"x": "y" * 10_000_000}}
    )
    error = kubectl("create", "-f", "-", stdin=large, fails=True)
    assert "Request entity too large: limit is 3145728" in error


def test_a_change_of_what_is_immutable_is_refused(kubectl):
    kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    patch = '{"spec":{"selector":{"matchLabels":{"app":"other"}},"template":{"metadata":{"labels":{"app":"other"}}}}}'
    assert "field is immutable" in kubectl("patch", "deployment", "web", "-p", patch, fails=True)


def test_a_user_without_rights_is_forbidden(cluster: Cluster):
    error = cluster.kubectl("get", "secrets", identity=cluster.stranger, fails=True)  # Other tests give him pods.
    denied = (
        'secrets is forbidden: User "bob" cannot list resource "secrets" in API group "" in the namespace "default"'
    )
    assert denied in error


def test_debians_kubectl_1_20_applies(cluster: Cluster, namespace, tmp_path: Path):
    """It knows no OpenAPI v3 and reads version 2 as protobuf only."""
    binary = _debian_kubectl(tmp_path)
    place = ("--namespace", namespace)
    assert "created" in cluster.kubectl(*place, "apply", "-f", "-", stdin=DEPLOYMENT, binary=binary)
    assert "unchanged" in cluster.kubectl(*place, "apply", "-f", "-", stdin=DEPLOYMENT, binary=binary)
    changed = DEPLOYMENT.replace("replicas: 2", "replicas: 3")
    assert "configured" in cluster.kubectl(*place, "apply", "-f", "-", stdin=changed, binary=binary)
    assert "0/3" in cluster.kubectl(*place, "get", "deployments", binary=binary)
    assert "scaled" in cluster.kubectl(*place, "scale", "deployment/web", "--replicas=1", binary=binary)
    assert "deleted" in cluster.kubectl(*place, "delete", "deployment", "web", binary=binary)


def _debian_kubectl(directory: Path) -> str:
    """Debian's kubernetes-client, unpacked but not installed."""
    try:
        subprocess.run(
            ["apt-get", "download", "kubernetes-client"], cwd=directory, capture_output=True, timeout=60, check=True
        )
        package = next(directory.glob("kubernetes-client_*.deb"))
        subprocess.run(["dpkg", "-x", package, directory / "root"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError, StopIteration):
        pytest.skip("needs apt-get and Debian's kubernetes-client")
    return str(directory / "root/usr/bin/kubectl")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/version", 200, b"v1.36.0+minik8s"),
        ("/livez", 200, b"ok"),
        ("/readyz?verbose", 200, b"[+]etcd ok"),
        ("/api/v1/pods", 403, b"system:anonymous"),
        ("/metrics", 403, b"forbidden"),
    ],
)
def test_without_a_certificate_little_is_public(cluster: Cluster, path, status, text):
    answer = cluster.get(path)
    assert answer[0] == status
    assert text in answer[1]


def test_a_wrong_token_is_unauthorized_even_where_anybody_may(cluster: Cluster):
    status, body = cluster.get("/version", Authorization="Bearer wrong")
    assert (status, json.loads(body)["reason"]) == (401, "Unauthorized")


def _container(name: str, image: str) -> str:
    return json.dumps({"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}})
