"""`kubectl auth` of every version, and the commands of docs/access.md as they stand there."""

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest

from .cluster import Cluster, find_kubectl

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[3] / "docs/access.md"
POLICY = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
"""


@pytest.mark.parametrize("version", [f"1.{minor}" for minor in range(27, 34)])
def test_auth_commands(cluster: Cluster, namespace: str, version: str) -> None:
    if find_kubectl(version) is None:
        pytest.skip(f"needs kubectl {version}")
    admin = partial(cluster.kubectl, "--namespace", namespace, version=version)
    bob = partial(admin, identity=cluster.stranger)
    policy = POLICY.replace("NAMESPACE", namespace)
    assert bob("auth", "can-i", "get", "pods", fails=True) == ""  # It prints «no», and fails.
    assert "role.rbac.authorization.k8s.io/reader reconciled" in admin("auth", "reconcile", "-f", "-", stdin=policy)
    admin("auth", "reconcile", "-f", "-", stdin=policy.replace("[get, list]", "[get, watch]"))
    verbs = json.loads(admin("get", "role", "reader", "-o", "json"))["rules"]
    assert {verb for rule in verbs for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert bob("auth", "can-i", "watch", "pods", "--subresource=log") == "yes\n"
    assert admin("auth", "can-i", "*", "*") == "yes\n"
    listed = bob("auth", "can-i", "--list")
    assert re.search(r"^pods/log +\[\] +\[\] +\[get list watch\]", listed, re.M), listed
    assert re.search(r"^selfsubjectaccessreviews.authorization.k8s.io +\[\] +\[\] +\[create\]", listed, re.M), listed
    refused = bob("get", "secrets", fails=True)
    what = f'User "bob" cannot list resource "secrets" in API group "" in the namespace "{namespace}"'
    assert refused == f"Error from server (Forbidden): secrets is forbidden: {what}\n"


def test_the_commands_of_the_documentation_work(cluster: Cluster, tmp_path: Path) -> None:
    """In one shell; those that ask are asked here too."""
    kubectl = find_kubectl()
    assert kubectl is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubectl").symlink_to(kubectl)
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(Path(cluster.kubectl_line("version")[2]).read_text())
    environment = cluster.environment() | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig),
        "PKI": str(cluster.directory),
    }
    for block in re.findall(r"```\n(.*?)```", DOCS.read_text(), re.S):
        script = f"set -euxo pipefail\n{block}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
    asked = ["kubectl", "--user", "jane", "auth", "can-i", "list", "secrets", "--namespace", "kube-system"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "no\n")
