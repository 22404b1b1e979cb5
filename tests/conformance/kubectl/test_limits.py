"""What users of kubectl see of limits, quotas, pod security, drains, debuggers and resizes."""

import json
import subprocess
from collections.abc import Callable

import pytest

from .cluster import Cluster

pytestmark = pytest.mark.slow

PRIVILEGED = """
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec: {containers: [{name: a, image: i, securityContext: {privileged: true}}]}
"""
ON_NODE = """
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: web}}
spec:
  nodeName: NODE
  terminationGracePeriodSeconds: 0
  containers: [{name: a, image: i, resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}}]
"""
LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: l}
spec: {limits: [{type: Container, max: {cpu: 500m}, default: {cpu: 200m}, defaultRequest: {cpu: 100m}}]}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: NODE}
"""
RUNNING = '{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}'


def apply(kubectl: Callable[..., str], text: str, **more: bool) -> str:
    return kubectl("apply", "-f", "-", stdin=text, **more)


def status(kubectl: Callable[..., str], *what: str, given: str) -> None:
    kubectl("patch", *what, "--subresource=status", "--type=merge", "-p", given)


def test_a_quota_is_told_of_and_shown(kubectl):
    kubectl("create", "quota", "q", "--hard=configmaps=2")
    status(kubectl, "quota", "q", given='{"status": {"hard": {"configmaps": "2"}, "used": {"configmaps": "0"}}}')
    for name in ("a", "b"):
        kubectl("create", "configmap", name)
    assert kubectl("create", "configmap", "c", fails=True).strip() == (
        'error: failed to create configmap: configmaps "c" is forbidden: exceeded quota: q, requested: configmaps=1, '
        "used: configmaps=2, limited: configmaps=2"
    )
    assert "configmaps  2     2" in kubectl("describe", "quota", "q")
    assert "configmaps: 2/2" in kubectl("get", "quota", "q")


def test_a_limit_range_fills_in_and_bounds(kubectl):
    apply(kubectl, LIMITS)
    kubectl("run", "a", "--image=i")
    annotations = json.loads(kubectl("get", "pod", "a", "-o", "json"))["metadata"]["annotations"]
    assert annotations["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container a; cpu limit for container a"
    )
    big = ON_NODE.replace("NAME", "big").replace("NODE", "n1").replace("200m", "1")
    found = apply(kubectl, big, fails=True)
    assert 'pods "big" is forbidden: maximum cpu usage per Container is 500m, but limit is 1' in found
    assert "Container   cpu       -    500m  100m" in kubectl("describe", "limitrange", "l")


def test_pod_security_refuses_and_warns(cluster: Cluster, namespace: str, kubectl):
    apply(kubectl, PRIVILEGED)
    label = "pod-security.kubernetes.io/enforce=baseline"
    line = cluster.kubectl_line("label", "namespace", namespace, label)
    level = 'the new PodSecurity enforce level "baseline:latest"'
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment(), timeout=60)
    assert done.stderr.splitlines() == [
        f'Warning: existing pods in namespace "{namespace}" violate {level}',
        "Warning: bad: privileged",
    ]
    found = apply(kubectl, PRIVILEGED.replace("bad", "worse"), fails=True)
    assert (
        'pods "worse" is forbidden: violates PodSecurity "baseline:latest": privileged (container "a" must not set '
        "securityContext.privileged=true)" in found
    )


@pytest.mark.parametrize("version", ["1.27", "1.33"])
def test_a_node_is_drained_as_budgets_allow(cluster: Cluster, namespace: str, kubectl, version):
    node = f"node-{namespace}"
    apply(kubectl, NODE.replace("NODE", node))
    for name in ("a", "b"):
        apply(kubectl, ON_NODE.replace("NAME", name).replace("NODE", node))
        status(kubectl, "pod", name, given=RUNNING)
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    budget = {"desiredHealthy": 1, "currentHealthy": 2, "expectedPods": 2, "observedGeneration": 1}
    status(kubectl, "pdb", "web", given=json.dumps({"status": budget | {"disruptionsAllowed": 1}}))
    drain = ("drain", node, "--force", "--timeout=2s")
    found = kubectl(*drain, fails=True, version=version)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in found
    assert len(kubectl("get", "pods", "-o", "name").split()) == 1
    status(kubectl, "pdb", "web", given=json.dumps({"status": budget | {"disruptionsAllowed": 1}}))
    assert f"node/{node} drained" in kubectl(*drain, version=version)
    assert kubectl("get", "pods", "-o", "name") == ""
    assert json.loads(kubectl("get", "node", node, "-o", "json"))["spec"]["unschedulable"]


@pytest.mark.parametrize("version", ["1.27", "1.33"])
def test_a_debugger_joins_a_pod(kubectl, version):
    apply(kubectl, ON_NODE.replace("NAME", "p").replace("NODE", "n1"))
    kubectl(
        "debug", "p", "--image=busybox", "--target=a", "--container=d", "--attach=false", "--quiet", version=version
    )
    [container] = json.loads(kubectl("get", "pod", "p", "-o", "json"))["spec"]["ephemeralContainers"]
    assert (container["name"], container["targetContainerName"]) == ("d", "a")


def test_a_pod_is_resized(kubectl):
    apply(kubectl, ON_NODE.replace("NAME", "p").replace("NODE", "n1"))
    patch = '{"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "300m"}}}]}}'
    kubectl("patch", "pod", "p", "--subresource=resize", "-p", patch, version="1.33")
    [container] = json.loads(kubectl("get", "pod", "p", "-o", "json"))["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}}
    found = kubectl("patch", "pod", "p", "-p", patch.replace("300m", "400m"), fails=True)
    assert "pod updates may not change fields other than" in found
