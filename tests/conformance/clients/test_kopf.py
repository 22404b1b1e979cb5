"""An operator in kopf, as its tutorial has it: CRD, handlers, finalizer, timer; it survives an apiserver."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .world import World, until

pytestmark = pytest.mark.slow

OPERATOR = Path(__file__).with_name("ephemeral_claims.py")
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "string"}}, "required": ["size"]},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "ephemeralvolumeclaims.example.dev"},
    "spec": {
        "scope": "Namespaced",
        "group": "example.dev",
        "names": {"kind": "EphemeralVolumeClaim", "plural": "ephemeralvolumeclaims", "shortNames": ["evc"]},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}


@pytest.fixture
def kubectl(world: World, namespace: str) -> Callable[..., str]:
    return partial(world.kubectl, "--namespace", namespace)


@contextlib.contextmanager
def operator(world: World, namespace: str) -> Iterator[None]:
    """The operator, as a process of its own."""
    line = [sys.executable, "-m", "kopf", "run", "--standalone", f"--namespace={namespace}", str(OPERATOR)]
    with (world.directory / "kopf.log").open("wb") as log:
        environment = world.environment() | {"KUBECONFIG": str(world.kubeconfig())}
        process = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_an_operator_handles_its_objects_until_their_end(world: World, namespace: str, kubectl: Callable[..., str]):
    kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    kubectl("wait", "--for=condition=established", "crd/ephemeralvolumeclaims.example.dev", "--timeout=10s")

    def claim(name: str) -> None:
        evc = {"apiVersion": "example.dev/v1", "kind": "EphemeralVolumeClaim", "metadata": {"name": name}}
        kubectl("apply", "-f", "-", stdin=json.dumps(evc | {"spec": {"size": "1G"}}))

    def evc(name: str) -> dict:  # type: ignore[type-arg]
        return json.loads(kubectl("get", "evc", name, "-o", "json"))

    def is_handled(name: str) -> bool:
        return evc(name).get("status", {}).get("create") == {"claim": name}

    with operator(world, namespace):
        claim("a")
        until(lambda: is_handled("a"))
        assert evc("a")["metadata"]["finalizers"] == ["example.dev/finalizer"]
        made = json.loads(kubectl("get", "pvc", "a", "-o", "json"))
        assert made["metadata"]["ownerReferences"][0]["kind"] == "EphemeralVolumeClaim"
        until(lambda: evc("a")["status"].get("ticks", 0) >= 2)
        kubectl("label", "evc", "a", "tier=front")
        until(lambda: kubectl("get", "pvc", "-l", "tier=front", "-o", "name").strip())
        for name in ("b", "c"):  # Each apiserver dies once.
            with world.one_server_dead():
                claim(name)
                until(lambda name=name: is_handled(name))
        kubectl("delete", "evc", "a", "--timeout=20s")
        assert "last-will-of-a" in kubectl("get", "configmaps", "-o", "name")
        until(lambda: "There is a claim for c." in kubectl("get", "events"))
