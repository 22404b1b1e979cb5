"""TaintNodesByCondition: a new node takes no pods until the node lifecycle controller finds it ready."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition(Plugin):
    """Adds the not-ready taint to nodes as they are created."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Between registration and the first verdict on its health nothing may be scheduled to a node."""
        if not attributes.creates("nodes"):
            return
        taints = document.setdefault("spec", {}).setdefault("taints", [])
        if not any((taint.get("key"), taint.get("effect")) == tuple(NOT_READY.values()) for taint in taints):
            taints.append(dict(NOT_READY))
