"""Quotas, budgets and claims at a cluster of real processes: what is counted, held back and given back."""

import json

import pytest

from .harness import Cluster, until
from .test_kubectl import namespace

__all__ = ["namespace"]
pytestmark = pytest.mark.slow

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: sleep, command: [sleep, "600"]}]
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


def test_a_deployment_grows_to_its_quota_and_budgets_hold_its_pods(cluster: Cluster, namespace: str):
    def kubectl(*args: str, **more):
        return cluster.kubectl(*args, "-n", namespace, **more)

    def get(*args: str):
        return cluster.get(*args, "-n", namespace)

    kubectl("create", "quota", "q", "--hard=pods=2")
    until(lambda: get("quota", "q")["status"].get("used") == {"pods": "0"}, "a first count")
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    until(lambda: get("deployment", "web")["status"].get("readyReplicas") == 2, "as many pods as there may be")
    [replicaset] = get("replicaset")["items"]
    [condition] = [one for one in replicaset["status"]["conditions"] if one["type"] == "ReplicaFailure"]
    assert "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" in condition["message"]
    until(lambda: get("pdb", "web")["status"]["disruptionsAllowed"] == 1, "an allowance")
    names = sorted(pod["metadata"]["name"] for pod in get("pods")["items"])
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    cluster.kubectl("cordon", *nodes)  # or another pod could be ready before the second is asked to go
    try:
        first, second = (_evict(cluster, namespace, name) for name in names)
    finally:
        cluster.kubectl("uncordon", *nodes)
    assert first["status"] == "Success"
    assert (second["code"], second["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
    # What went is given back, and used again.
    until(lambda: names[0] not in kubectl("get", "pods", "-o", "name"), "the evicted pod to go")
    until(lambda: get("deployment", "web")["status"].get("readyReplicas") == 2, "another in its place")
    kubectl("apply", "-f", "-", stdin=CLAIM)
    assert get("pvc", "data")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    kubectl("delete", "pvc", "data", "--timeout=20s")
    kubectl("delete", "deployment", "web")
    until(lambda: get("quota", "q")["status"]["used"] == {"pods": "0"}, "everything to be given back")


def _evict(cluster: Cluster, namespace: str, name: str) -> dict:
    """The Status that answers an eviction."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    answer = cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction), check=False)
    if answer.startswith("{"):
        return json.loads(answer)
    assert "disruption budget" in answer, answer
    return {"code": 429, "details": {"causes": [{"reason": "DisruptionBudget"}]}}
