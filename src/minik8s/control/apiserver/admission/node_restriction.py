"""NodeRestriction: a kubelet writes its own node, the pods bound to it, its lease, and nothing else of these kinds.

As upstream. What a kubelet may read, and which kinds it may write at all, authorization has decided (`authz.node`).
Requests that are not stored (evictions, tokens) are checked by who answers them: `check_eviction`, `check_token`.
"""

from collections.abc import Sequence
from typing import Protocol

from minik8s.api import errors
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.authn.users import User
from minik8s.control.apiserver.authz.node import LEASE_NAMESPACE, node_of
from minik8s.control.apiserver.authz.node_graph import MIRROR, references
from minik8s.control.apiserver.resource import Document

# Labels of Kubernetes' own domains that a kubelet sets on its node; besides those of the two namespaces.
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    }
)
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_RESTRICTED = "node-restriction.kubernetes.io"
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")


class Objects(Protocol):
    """Where pods are looked up."""

    async def get(self, plural: str, namespace: str, name: str) -> Document | None:
        """As of now."""
        ...


class NodeRestriction(Plugin):
    """Limits the users system:node:NAME of the group system:nodes. Others pass."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Judged on what the node sent, before defaults are filled in."""
        node_name = node_of(User(attributes.user_name, tuple(attributes.groups)))
        if node_name is None:
            return
        if not node_name:
            raise attributes.refuse(f'could not determine node from user "{attributes.user_name}"')
        match attributes.resource.plural:
            case "nodes":
                _node(document, attributes, node_name)
            case "pods":
                await _pod(document, attributes, node_name)
            case "persistentvolumeclaims":
                _claim(document, attributes, node_name)
            case "leases":
                if attributes.namespace != LEASE_NAMESPACE:
                    raise attributes.refuse(f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
                if attributes.name != node_name:
                    raise attributes.refuse("can only access node lease with the same name as the requesting node")
            case "csinodes" if attributes.name != node_name:
                raise attributes.refuse("can only access CSINode with the same name as the requesting node")


def check_eviction(user: User, pod: Document) -> None:
    """Raises StatusError Forbidden if a kubelet evicts a pod of another node."""
    node_name = node_of(user)
    if node_name is not None and pod.get("spec", {}).get("nodeName", "") != node_name:
        why = f"node {node_name} can only evict pods with spec.nodeName set to itself"
        raise errors.forbidden("pods", "", pod["metadata"]["name"], why)


async def check_token(
    user: User,
    namespace: str,
    account: str,
    reference: Document | None,
    objects: Objects,
    *,
    audiences: Sequence[str] = (),
) -> None:
    """Raises StatusError Forbidden if a kubelet asks for a token that no volume of a pod of its own wants."""
    node_name = node_of(user)
    if node_name is None:
        return
    reference = reference or {}
    why = ""
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not reference.get("name"):
        why = "node requested token not bound to a pod"
    elif not reference.get("uid"):
        why = "node requested token with a pod binding without a uid"
    else:
        pod = await objects.get("pods", namespace, reference["name"])
        if pod is None:
            raise errors.not_found("pods", "", reference["name"])
        if pod["metadata"]["uid"] != reference["uid"]:
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        elif pod.get("spec", {}).get("nodeName", "") != node_name:
            why = "node requested token bound to a pod scheduled on a different node"
        elif len(audiences) > 1:
            why = "node may only request 0 or 1 audiences"
        elif not await _wants_token_for("".join(audiences), pod, objects):
            why = f'audience "{"".join(audiences)}" not found in pod spec volume'
    if why:
        raise errors.forbidden("serviceaccounts", "", account, why)


async def _wants_token_for(audience: str, pod: Document, objects: Objects) -> bool:
    """Whether a volume of the pod wants a token for this audience (empty: for the API itself)."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        sources = (volume.get("projected") or {}).get("sources") or ()
        tokens = [source["serviceAccountToken"] for source in sources if source.get("serviceAccountToken")]
        if any(token.get("audience", "") == audience for token in tokens):
            return True
        if driver := (volume.get("csi") or {}).get("driver"):
            found = await objects.get("csidrivers", "", driver) or {}
            requests = (found.get("spec") or {}).get("tokenRequests") or ()
            if any(request.get("audience", "") == audience for request in requests):
                return True
    return False


def _node(document: Document, attributes: Attributes, node_name: str) -> None:
    if attributes.name != node_name:
        raise attributes.refuse(f'node "{node_name}" is not allowed to modify node "{attributes.name}"')
    if attributes.operation == "DELETE":
        return
    old = attributes.old
    if old is not None:
        taints, old_taints = ((item.get("spec") or {}).get("taints") or [] for item in (document, old))
        if taints != old_taints:
            raise attributes.refuse(f'node "{node_name}" is not allowed to modify taints')
        # The garbage collector would delete the node for it, taints and all (CVE-2025-5187).
        owners = [item["metadata"].get("ownerReferences") or [] for item in (document, old)]
        if owners[0] != owners[1]:
            raise attributes.refuse(f'node "{node_name}" is not allowed to modify ownerReferences')
    forbidden = ", ".join(sorted(filter(_is_forbidden, _changed(_labels(document), _labels(old or {})))))
    if forbidden and old is None:
        raise attributes.refuse(f'node "{node_name}" is not allowed to set the following labels: {forbidden}')
    if forbidden:
        raise attributes.refuse(f"is not allowed to modify labels: {forbidden}")


async def _pod(document: Document, attributes: Attributes, node_name: str) -> None:
    node = f'node "{node_name}"'
    bound_to = ((attributes.old or {}).get("spec") or {}).get("nodeName", "")
    match attributes.subresource, attributes.operation:
        case "", "CREATE":
            await _mirror_pod(document, attributes, node_name)
        case "", "DELETE":
            if bound_to != node_name:
                raise attributes.refuse(f"{node} can only delete pods with spec.nodeName set to itself")
        case "", operation:
            why = f'unexpected operation "{operation}", {node} can only create and delete mirror pods'
            raise attributes.refuse(why)
        case "status", _:
            if bound_to != node_name:
                why = "can only update pod status for pods with spec.nodeName set to itself"
                raise attributes.refuse(f"{node} {why}")
            if _labels(document) != _labels(attributes.old or {}):
                raise attributes.refuse(f"{node} cannot update labels through pod status")
        case "eviction", _:
            pass  # By whom, `check_eviction` says, who sees the pod.
        case subresource, _:
            why = f"""unexpected pod subresource "{subresource}", only 'status' and 'eviction' are allowed"""
            raise attributes.refuse(why)


async def _mirror_pod(pod: Document, attributes: Attributes, node_name: str) -> None:
    """A static pod as others see it: of this node, owned by it, referring to nothing in the API."""
    node = f'node "{node_name}"'
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    owners = metadata.get("ownerReferences") or []
    if MIRROR not in annotations:
        raise attributes.refuse(f'pod does not have "{MIRROR}" annotation, {node} can only create mirror pods')
    if spec.get("nodeName", "") != node_name:
        raise attributes.refuse(f"{node} can only create pods with spec.nodeName set to itself")
    if len(owners) > 1:
        raise attributes.refuse(f"{node} can only create pods with a single owner reference set to itself")
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node_name):
        raise attributes.refuse(f"{node} can only create pods with an owner reference set to itself")
    if not owner.get("controller"):
        raise attributes.refuse(f"{node} can only create pods with a controller owner reference set to itself")
    if owner.get("blockOwnerDeletion"):
        raise attributes.refuse(f"{node} must not set blockOwnerDeletion on an owner reference")
    found = await attributes.reader.get("nodes", "", node_name)
    if found is None:
        raise errors.not_found("nodes", "", node_name)
    if found["metadata"].get("uid") != owner.get("uid"):
        uid = found["metadata"].get("uid", "")
        raise attributes.refuse(f"node {node_name} UID mismatch: expected {owner.get('uid', '')} got {uid}")
    unmarked = {key: value for key, value in annotations.items() if key != MIRROR}
    for plural, _ in references(pod | {"metadata": metadata | {"annotations": unmarked}}):
        what = "a service account" if plural == "serviceaccounts" else plural
        raise attributes.refuse(f"{node} can not create pods that reference {what}")


def _claim(document: Document, attributes: Attributes, node_name: str) -> None:
    if attributes.subresource != "status" or attributes.old is None:
        raise attributes.refuse("may only update PVC status")
    if _without_claim_status(document) != _without_claim_status(attributes.old):
        what = "fields other than status.capacity and status.conditions"
        raise attributes.refuse(f'node "{node_name}" is not allowed to update {what}')


def _without_claim_status(claim: Document) -> Document:
    ignored = ("resourceVersion", "managedFields")
    metadata = {key: value for key, value in claim["metadata"].items() if key not in ignored}
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _CLAIM_STATUS}
    return claim | {"metadata": metadata, "status": status}


def _labels(document: Document) -> dict[str, str]:
    labels: dict[str, str] = document.get("metadata", {}).get("labels") or {}
    return labels


def _changed(labels: dict[str, str], old: dict[str, str]) -> set[str]:
    return {key for key in labels.keys() | old.keys() if labels.get(key) != old.get(key)}


def _is_forbidden(label: str) -> bool:
    """Whether a label would let a node draw pods to itself: what administrators set, and what has no meaning yet."""
    namespace = label.rpartition("/")[0]
    if _is_within(namespace, _RESTRICTED):
        return True
    if not (_is_within(namespace, "kubernetes.io") or _is_within(namespace, "k8s.io")):
        return False
    return label not in _KUBELET_LABELS and not any(_is_within(namespace, each) for each in _KUBELET_NAMESPACES)


def _is_within(namespace: str, domain: str) -> bool:
    return namespace == domain or namespace.endswith(f".{domain}")
