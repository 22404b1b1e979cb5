"""An operator as kopf's tutorial builds it: a claim for each EphemeralVolumeClaim. Run with `kopf run`.

Its handlers use what kopf needs of a server: a watched CRD, a finalizer, status patches, events, owner references.
"""

from typing import Any

import kopf
from kubernetes import client, config

GROUP, VERSION, PLURAL = "example.dev", "v1", "ephemeralvolumeclaims"


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "example.dev/finalizer"
    settings.posting.enabled = True
    config.load_kube_config()


@kopf.on.create(PLURAL)
def create(spec: kopf.Spec, body: kopf.Body, name: str, namespace: str, **_: Any) -> dict[str, str]:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": spec["size"]}}},
    }
    kopf.adopt(claim)
    made = client.CoreV1Api().create_namespaced_persistent_volume_claim(namespace, claim)
    kopf.info(body, reason="Claimed", message=f"There is a claim for {name}.")
    return {"claim": made.metadata.name}


@kopf.on.field(PLURAL, field="metadata.labels")
def relabel(new: Any, name: str, namespace: str, status: kopf.Status, **_: Any) -> None:
    if "create" in status:
        patch = {"metadata": {"labels": dict(new or {})}}
        client.CoreV1Api().patch_namespaced_persistent_volume_claim(name, namespace, patch)


@kopf.timer(PLURAL, interval=0.5)
def tick(patch: kopf.Patch, status: kopf.Status, **_: Any) -> None:
    patch.status["ticks"] = status.get("ticks", 0) + 1


@kopf.on.delete(PLURAL)
def delete(name: str, namespace: str, **_: Any) -> None:
    client.CoreV1Api().create_namespaced_config_map(namespace, {"metadata": {"name": f"last-will-of-{name}"}})
