"""NodeRestriction: a kubelet writes its own node, the pods bound to it, its lease, and nothing else of these kinds."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

NODE_USER_PREFIX = "system:node:"
_LEASE_NAMESPACE = "kube-node-lease"


class NodeRestriction(Plugin):
    """Limits the users system:node:NAME. Others pass."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Judged on what the node sent, before defaults are filled in."""
        if not attributes.user_name.startswith(NODE_USER_PREFIX):
            return
        node_name = attributes.user_name.removeprefix(NODE_USER_PREFIX)
        match attributes.resource.plural:
            case "nodes":
                self._node(document, attributes, node_name)
            case "pods":
                self._pod(document, attributes, node_name)
            case "leases":
                self._lease(attributes, node_name)

    def _node(self, document: Document, attributes: Attributes, node_name: str) -> None:
        if attributes.name != node_name:
            raise attributes.refuse(f'node "{node_name}" is not allowed to modify node "{attributes.name}"')
        if attributes.verb == "delete" or not attributes.old or attributes.subresource:
            return
        taints, old_taints = (item.get("spec", {}).get("taints", []) for item in (document, attributes.old))
        if taints != old_taints:
            raise attributes.refuse(f'node "{node_name}" is not allowed to modify taints')

    def _pod(self, document: Document, attributes: Attributes, node_name: str) -> None:
        if attributes.subresource in ("binding", "eviction") or (attributes.verb == "create"):
            # Mirror pods of static ones come with issue 4.
            raise attributes.refuse(f'node "{node_name}" can not create pods or bind them')
        if attributes.verb != "delete" and attributes.subresource != "status":
            raise attributes.refuse(f'node "{node_name}" can only update the status of pods')
        bound_to = (attributes.old or {}).get("spec", {}).get("nodeName", "")
        if bound_to != node_name:
            action = "delete pods" if attributes.verb == "delete" else "update pod status for pods"
            raise attributes.refuse(f'node "{node_name}" can only {action} with spec.nodeName set to itself')

    def _lease(self, attributes: Attributes, node_name: str) -> None:
        if attributes.namespace != _LEASE_NAMESPACE:
            raise attributes.refuse(f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace')
        if attributes.name != node_name:
            raise attributes.refuse("can only access node lease with the same name as the requesting node")
