"""What kubelets may do: rules for all of them, and of some kinds only what their own pods need. Mode Node.

A kubelet is the user system:node:NAME in the group system:nodes. What it writes of its node, pods and lease is limited
further by admission (NodeRestriction), which sees the objects. As upstream, this allows or has no opinion.
"""

from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz import rules
from minik8s.control.apiserver.authz.attributes import NO_OPINION, Attributes, Decision, Verdict
from minik8s.control.apiserver.authz.bootstrap_policy import node_rules
from minik8s.control.apiserver.authz.node_graph import NodeGraph
from minik8s.control.apiserver.authz.rules import Rule

NODE_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"
LEASE_NAMESPACE = "kube-node-lease"

_ALLOW = Verdict(Decision.ALLOW)
_READS = ("get", "list", "watch")
_OWN = ("get", "create", "update", "patch", "delete")


def node_of(user: User) -> str | None:
    """The node that a user is the kubelet of, perhaps nameless; None of anybody else."""
    if user.name.startswith(NODE_PREFIX) and NODES_GROUP in user.groups:
        return user.name.removeprefix(NODE_PREFIX)
    return None


class NodeAuthorizer:
    """Mode Node."""

    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._rules = rules.of_documents(node_rules())

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Whether the node has to do with it."""
        node = node_of(attributes.user)
        if node is None:
            return NO_OPINION
        if not node:
            return _no(f'unknown node for user "{attributes.user.name}"')
        match attributes.group, attributes.resource:
            case "", "secrets" | "configmaps":
                return self._read(node, attributes)
            case "", "persistentvolumeclaims" if attributes.subresource == "status":
                if attributes.verb not in ("update", "patch"):
                    return _no("can only get/update/patch this type")
                return self._related(node, attributes)
            case ("", "persistentvolumeclaims" | "persistentvolumes") | ("storage.k8s.io", "volumeattachments"):
                return self._get(node, attributes)
            case "", "serviceaccounts":
                return self._service_account(node, attributes)
            case "coordination.k8s.io", "leases":
                return _lease(node, attributes)
            case "storage.k8s.io", "csinodes":
                return _csinode(node, attributes)
            case "", "nodes":
                return _node(node, attributes)
            case "", "pods":
                return self._pod(node, attributes)
        return _ALLOW if any(rule.allows(attributes) for rule in self._rules) else NO_OPINION

    async def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[str], bool]:
        """None; of a node they cannot be listed."""
        if node_of(user) is None:
            return [], [], True
        return [], ["node authorizer does not support user rule resolution"], False

    async def close(self) -> None:
        """Nothing is held."""

    def _related(self, node: str, asked: Attributes) -> Verdict:
        if not asked.name:
            return _no("No Object name found")
        if self._graph.has(node, asked.resource, asked.namespace, asked.name):
            return _ALLOW
        return _no(f"no relationship found between node '{node}' and this object")

    def _get(self, node: str, asked: Attributes) -> Verdict:
        if asked.verb != "get":
            return _no("can only get individual resources of this type")
        return _no("cannot get subresource") if asked.subresource else self._related(node, asked)

    def _read(self, node: str, asked: Attributes) -> Verdict:
        """A single object; also a list or watch of it by its name."""
        if asked.verb not in _READS:
            return _no("can only read resources of this type")
        if asked.subresource:
            return _no("cannot read subresource")
        if not asked.namespace:
            return _no("can only read namespaced object of this type")
        return self._related(node, asked)

    def _service_account(self, node: str, asked: Attributes) -> Verdict:
        if asked.verb == "get" and not asked.subresource:
            return self._related(node, asked)
        if asked.verb != "create" or not asked.name:
            return _no("can only create tokens for individual service accounts")
        if asked.subresource != "token":
            return _no("can only create token subresource of serviceaccount")
        return self._related(node, asked)

    def _pod(self, node: str, asked: Attributes) -> Verdict:
        match asked.subresource, asked.verb:
            case "", "get":
                return self._get(node, asked)
            case "", "list" | "watch":
                if asked.selects("spec.nodeName") == node:
                    return _ALLOW
                if asked.name:
                    return self._related(node, asked)
                return _no("can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _ALLOW
        return NO_OPINION


def _node(node: str, asked: Attributes) -> Verdict:
    match asked.subresource, asked.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _ALLOW
        case "", "get" | "list" | "watch":
            if asked.name == node:
                return _ALLOW
            what = f"'{asked.name}'" if asked.name else "all nodes"
            return _no(f"node '{node}' cannot read {what}, only its own Node object")
    return NO_OPINION


def _lease(node: str, asked: Attributes) -> Verdict:
    if asked.verb not in _OWN:
        return _no("can only get, create, update, patch, or delete a node lease")
    if asked.namespace != LEASE_NAMESPACE:
        return _no(f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
    if asked.verb != "create" and asked.name != node:
        return _no("can only access node lease with the same name as the requesting node")
    return _ALLOW


def _csinode(node: str, asked: Attributes) -> Verdict:
    if asked.verb not in _OWN:
        return _no("can only get, create, update, patch, or delete a CSINode")
    if asked.subresource:
        return _no("cannot authorize CSINode subresources")
    if asked.verb != "create" and asked.name != node:
        return _no("can only access CSINode with the same name as the requesting node")
    return _ALLOW


def _no(reason: str) -> Verdict:
    return Verdict(Decision.NO_OPINION, reason)
