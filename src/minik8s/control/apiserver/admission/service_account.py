"""ServiceAccount: every pod runs as one, and finds its token, the authority and its namespace in its file system.

A pod that names none runs as `default`; one whose account is not there is refused. The controllers make `default` right
after its namespace, so a pod that comes too early waits for it a moment, as upstream.
"""

import hashlib
from asyncio import sleep

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUME_PREFIX = "kube-api-access-"
_EXPIRATION_S = 3607  # As upstream, whose readers of logs know by it who did not ask for any time.
_ATTEMPTS = 10
_RETRY_S = 0.1
_MIRROR = "kubernetes.io/config.mirror"
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class ServiceAccount(Plugin):
    """Fills in what a pod's account brings."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden for an account that is not there."""
        if not attributes.creates("pods") or _is_mirror(document):
            return
        spec = document["spec"]
        name = spec.get("serviceAccountName") or DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name  # The old name is kept for old readers.
        account = await _find(name, attributes)
        if account is None:
            raise attributes.refuse(
                f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
            )
        wants_token = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        if wants_token:
            _mount(spec, f"{_VOLUME_PREFIX}{_suffix(document['metadata'].get('uid', ''))}")
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden for a mirror pod that asks for what only the API gives."""
        if not attributes.creates("pods") or not _is_mirror(document):
            return
        spec = document["spec"]
        if spec.get("serviceAccountName"):
            raise attributes.refuse("a mirror pod may not reference service accounts")
        for volume in spec.get("volumes", ()):
            if "secret" in volume:
                raise attributes.refuse("a mirror pod may not reference secrets")
            if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", ())):
                raise attributes.refuse("a mirror pod may not use ServiceAccountToken volume projections")


async def _find(name: str, attributes: Attributes) -> Document | None:
    for attempt in range(_ATTEMPTS if name == DEFAULT else 1):
        if attempt:
            await sleep(_RETRY_S)
        if account := await attributes.reader.cached("serviceaccounts", attributes.namespace, name):
            return account
    return None


def _mount(spec: Document, name: str) -> None:
    """Have every container see the token, unless it has something else there."""
    volumes = spec.get("volumes") or []
    # A pod that was read from a cluster and is made anew brings its volume along.
    given = next((volume["name"] for volume in volumes if volume["name"].startswith(_VOLUME_PREFIX)), "")
    lacking = [
        container
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        if all(mount.get("mountPath") != MOUNT_PATH for mount in container.get("volumeMounts") or ())
    ]
    for container in lacking:
        mounts = container.get("volumeMounts") or []
        mount = {"name": given or name, "readOnly": True, "mountPath": MOUNT_PATH}
        container["volumeMounts"] = [*mounts, mount]
    if lacking and not given:
        spec["volumes"] = [*volumes, {"name": name, "projected": _projected()}]


def _projected() -> Document:
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": _EXPIRATION_S, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
        ],
        "defaultMode": 0o644,
    }


def _suffix(uid: str) -> str:
    """Like the end of a generated name, but the same for every attempt at one write."""
    digest = hashlib.sha256(uid.encode()).digest()
    return "".join(_SUFFIX_ALPHABET[byte % len(_SUFFIX_ALPHABET)] for byte in digest[:5])


def _is_mirror(pod: Document) -> bool:
    return _MIRROR in (pod.get("metadata", {}).get("annotations") or {})
