"""Priority: every pod has a priority, and the right to preempt. PriorityClasses are not served yet: all have 0."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

# As kube-apiserver: two classes that every cluster has.
_SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_DEFAULT = 0


class Priority(Plugin):
    """Resolves priorityClassName; clients cannot choose the number."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """On create; an update must not change what was resolved, which validation enforces."""
        if not attributes.creates("pods"):
            return
        spec = document.setdefault("spec", {})
        name = spec.get("priorityClassName", "")
        if name and name not in _SYSTEM_CLASSES:
            raise attributes.refuse(f"no PriorityClass with name {name} was found")
        priority = _SYSTEM_CLASSES.get(name, _DEFAULT)
        if spec.get("priority", priority) != priority:
            raise attributes.refuse(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {priority} from the given PriorityClass name"
            )
        spec["priority"] = priority
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
