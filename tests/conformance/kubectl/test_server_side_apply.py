"""Server-side apply as stock kubectls do it: ownership shown, conflicts told and forced, differences, migration."""

import json
from functools import partial

import pytest

from .cluster import Cluster, find_kubectl

pytestmark = pytest.mark.slow

VERSIONS = ("1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33")
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
SCALED = DEPLOYMENT.replace("replicas: 2", "replicas: 5")


@pytest.fixture(params=VERSIONS)
def versioned(request, cluster: Cluster, namespace):
    """kubectl of one version, in the test's namespace."""
    if find_kubectl(request.param) is None:
        pytest.skip(f"needs kubectl {request.param}")
    return partial(cluster.kubectl, "--namespace", namespace, version=request.param)


def test_apply_conflict_force_and_difference(versioned):
    apply = partial(versioned, "apply", "--server-side", "-f", "-")
    assert apply(stdin=DEPLOYMENT) == "deployment.apps/web serverside-applied\n"
    shown = versioned("get", "deployment", "web", "-o", "yaml", "--show-managed-fields")
    assert 'k:{"name":"web"}:' in shown
    assert "operation: Apply" in shown
    assert "managedFields" not in versioned("get", "deployment", "web", "-o", "yaml")
    versioned("scale", "deployment", "web", "--replicas=3")
    told = apply(stdin=SCALED, fails=True)
    assert "Apply failed with 1 conflict: conflict with " in told
    assert 'with subresource "scale" using apps/v1: .spec.replicas' in told
    assert "--force-conflicts" in told
    told = versioned("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=SCALED, fails=True, out=True)
    assert "-  replicas: 3" in told
    assert "+  replicas: 5" in told
    assert apply("--force-conflicts", stdin=SCALED) == "deployment.apps/web serverside-applied\n"
    assert versioned("diff", "--server-side", "-f", "-", stdin=SCALED) == ""
    error = apply("--field-manager=other", stdin=DEPLOYMENT, fails=True)
    assert 'conflict with "kubectl": .spec.replicas' in error


def test_what_was_applied_by_the_client_is_taken_over(versioned):
    versioned("apply", "-f", "-", stdin=DEPLOYMENT)
    assert '"replicas":2' in versioned("apply", "view-last-applied", "deployment", "web", "-o", "json").replace(" ", "")
    assert versioned("apply", "--server-side", "-f", "-", stdin=SCALED) == "deployment.apps/web serverside-applied\n"
    web = json.loads(versioned("get", "deployment", "web", "-o", "json", "--show-managed-fields"))
    assert web["spec"]["replicas"] == 5
    entries = {(each["manager"], each["operation"]) for each in web["metadata"]["managedFields"]}
    assert entries == {("kubectl", "Apply"), ("kubectl-last-applied", "Apply")}  # kubectl itself makes the second.
    without_labels = SCALED.replace(", labels: {app: web}}\nspec:\n  replicas", "}\nspec:\n  replicas")
    versioned("apply", "--server-side", "-f", "-", stdin=without_labels)
    assert versioned("get", "deployment", "web", "-o", "jsonpath={.metadata.labels}") == ""
