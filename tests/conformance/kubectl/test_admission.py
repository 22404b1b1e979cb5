"""What users of kubectl see of webhooks and policies: warnings, and denials in upstream's words."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from control.apiserver.admission.webhook_server import WebhookServer, saying, webhook_server

from .cluster import Cluster

pytestmark = pytest.mark.slow

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: KINDWebhookConfiguration
metadata: {name: NAME}
webhooks:
- name: NAME.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 5
  clientConfig: {url: "URL", caBundle: "BUNDLE"}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]
"""
# The example of kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: demo-policy.example.com}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  validations:
  - expression: "object.spec.replicas <= 5"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: demo-binding-test.example.com}
spec:
  policyName: demo-policy.example.com
  validationActions: [ACTION]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
"""


@pytest.fixture
def webhooks(tmp_path: Path) -> Iterator[WebhookServer]:
    """A webhook server on a loop of its own."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[WebhookServer] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with webhook_server(tmp_path / "pki") as server:
            found.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def until(condition) -> None:
    """Wait until a configuration is in the server's cache, so that it is acted on."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def output(cluster: Cluster, namespace: str, *args: str) -> str:
    """Everything kubectl printed."""
    line = cluster.kubectl_line("--namespace", namespace, *args)
    done = subprocess.run(line, capture_output=True, text=True, env=cluster.environment(), timeout=60)
    return done.stdout + done.stderr


def test_warnings_and_denials_of_webhooks(cluster: Cluster, namespace: str, webhooks: WebhookServer) -> None:
    webhooks.handlers |= {
        "/warn": saying(
            warnings=["this is\told"], patch=[{"op": "add", "path": "/metadata/labels", "value": {"by": "webhook"}}]
        ),
        "/deny": saying(allowed=False, status={"message": "not on my watch"}),
    }

    def install(kind: str, name: str) -> None:
        config = webhooks.config(f"/{name}")
        text = WEBHOOK.replace("KIND", kind).replace("NAMESPACE", namespace).replace("NAME", name)
        cluster.kubectl(
            "apply", "-f", "-", stdin=text.replace("URL", config["url"]).replace("BUNDLE", config["caBundle"])
        )

    install("Mutating", "warn")
    until(lambda: "Warning: this is" in output(cluster, namespace, "create", "configmap", f"a{time.monotonic_ns()}"))
    printed = cluster.kubectl("--namespace", namespace, "get", "configmaps", "--selector", "by=webhook", "-o", "name")
    assert printed.startswith("configmap/a")
    install("Validating", "deny")
    why = 'admission webhook "deny.example.com" denied the request: not on my watch'
    refused = f"Warning: this is old\nerror: failed to create configmap: {why}\n"
    until(lambda: output(cluster, namespace, "create", "configmap", f"b{time.monotonic_ns()}") == refused)
    cluster.kubectl("delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "--all")


def test_the_documentations_policy(cluster: Cluster, namespace: str) -> None:
    text = POLICY.replace("NAMESPACE", namespace)
    cluster.kubectl("apply", "-f", "-", stdin=text.replace("ACTION", "Deny"))
    create = ("create", "deployment", "--image=nginx", "--replicas=6", "nginx")
    refused = (
        'error: failed to create deployment: deployments.apps "nginx" is forbidden: ValidatingAdmissionPolicy '
        "'demo-policy.example.com' with binding 'demo-binding-test.example.com' denied request: "
        "failed expression: object.spec.replicas <= 5\n"
    )
    until(lambda: refused == output(cluster, namespace, *create))
    cluster.kubectl("apply", "-f", "-", stdin=text.replace("ACTION", "Warn"))
    warned = (
        "Warning: Validation failed for ValidatingAdmissionPolicy 'demo-policy.example.com' with binding "
        "'demo-binding-test.example.com': failed expression: object.spec.replicas <= 5"
    )
    until(lambda: warned in output(cluster, namespace, *create, "--dry-run=server"))
    cluster.kubectl("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", "--all")
