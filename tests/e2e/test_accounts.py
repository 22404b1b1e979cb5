"""Who people and pods are to a cluster of real processes: kubectl's commands for it, and a pod that calls the API."""

import base64
import json
import stat

import pytest

from .harness import Cluster, until
from .test_kubectl import namespace

__all__ = ["namespace"]
pytestmark = pytest.mark.slow

# With the engine `process` a volume lies below the container's directory.
ASKING = """
apiVersion: v1
kind: Pod
metadata: {name: asking}
spec:
  restartPolicy: Never
  serviceAccountName: robot
  containers:
    - name: main
      image: curl
      command:
        - sh
        - -c
        - |
          dir=$CONTAINER_ROOT/var/run/secrets/kubernetes.io/serviceaccount
          api=https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT
          ask() { curl -sS --cacert "$dir/ca.crt" -H "Authorization: Bearer $(cat "$dir/token")" "$@"; }
          whoami=$api/apis/authentication.k8s.io/v1/selfsubjectreviews
          ask -H 'Content-Type: application/json' -d '{}' "$whoami?pretty=0"
          echo
          ask "$api/api/v1/namespaces/$(cat "$dir/namespace")/pods?pretty=0"
          echo
          ask "$api/api/v1/secrets?pretty=0"
"""


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_pod_calls_the_api_as_its_service_account(cluster: Cluster, namespace: str):
    cluster.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=pods", "-n", namespace)
    cluster.kubectl(
        "create", "rolebinding", "r", "--role=reader", f"--serviceaccount={namespace}:robot", "-n", namespace
    )
    cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=ASKING)
    until(lambda: cluster.get("pod", "asking", "-n", namespace)["status"]["phase"] == "Succeeded", "its end")
    review, pods, refusal = map(json.loads, cluster.kubectl("logs", "asking", "-n", namespace).splitlines())
    user = review["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:robot"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["asking"]
    assert [pod["metadata"]["name"] for pod in pods["items"]] == ["asking"]
    assert refusal["code"] == 403


def test_kubectl_tells_who_one_is_makes_tokens_and_acts_as_others(cluster: Cluster, namespace: str):
    assert "kubernetes-admin" in cluster.kubectl("auth", "whoami")
    as_other = cluster.kubectl("auth", "whoami", "--as=bob", "--as-group=devs", "--as-uid=7", "-o", "json")
    assert json.loads(as_other)["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["devs", "system:authenticated"],
    }
    refused = cluster.kubectl("get", "pods", "--as=bob", check=False)
    assert 'User "bob" cannot list resource "pods"' in refused
    token = cluster.kubectl("create", "token", "default", "-n", namespace, "--duration=20m", "--audience=vault").strip()
    made = claims(token)
    assert (made["aud"], made["exp"] - made["iat"]) == (["vault"], 1200)
    assert "Unauthorized" in as_bearer(cluster, token, "auth", "whoami")  # It is for others.
    token = cluster.kubectl("create", "token", "default", "-n", namespace).strip()
    assert f"system:serviceaccount:{namespace}:default" in as_bearer(cluster, token, "auth", "whoami")


def test_tokens_and_keys_are_nobody_elses_business(cluster: Cluster, namespace: str):
    """Neither in logs, at whatever level components log by default, nor in files that others may read."""
    token = cluster.kubectl("create", "token", "default", "-n", namespace).strip()
    as_bearer(cluster, token, "get", "pods")
    as_bearer(cluster, token + "x", "get", "pods")
    signature = token.split(".")[2]
    assert signature not in cluster.logs()
    for log in (cluster.directory / "logs").iterdir():
        assert "eyJ" not in log.read_text(), log
    keys = list(cluster.directory.rglob("*.key"))
    assert any(key.name == "sa.key" for key in keys)
    assert [key for key in keys if stat.S_IMODE(key.stat().st_mode) != 0o600] == []


def as_bearer(cluster: Cluster, token: str, *args: str) -> str:
    """kubectl with this token and no certificate."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    config["users"] = [{"name": "u", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "u"
    file = cluster.data_directory / "bearer.kubeconfig"
    file.write_text(json.dumps(config))
    return cluster.kubectl("--kubeconfig", str(file), *args, check=False)
