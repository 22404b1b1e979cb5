"""Priority: every pod has a priority and a right to preempt, by its PriorityClass. Without one it has 0."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.priorityclass import SYSTEM_CLASSES

_PREEMPTS = "PreemptLowerPriority"
_NO_CLASS = {"value": 0, "preemptionPolicy": _PREEMPTS}


class Priority(Plugin):
    """Resolves priorityClassName; clients cannot choose the number."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """On create; an update must not change what was resolved, which validation enforces."""
        if not attributes.creates("pods"):
            return
        spec = document.setdefault("spec", {})
        name = spec.get("priorityClassName", "")
        found = await self._class(name, attributes) if name else _NO_CLASS
        if found is None:
            raise attributes.refuse(f"no PriorityClass with name {name} was found")
        priority = found.get("value", 0)
        if spec.get("priority", priority) != priority:
            raise attributes.refuse(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {priority} from the given PriorityClass name"
            )
        policy = found.get("preemptionPolicy", _PREEMPTS)
        if spec.get("preemptionPolicy", policy) != policy:
            raise attributes.refuse(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = priority, policy

    async def _class(self, name: str, attributes: Attributes) -> Document | None:
        if name in SYSTEM_CLASSES:
            return {"value": SYSTEM_CLASSES[name]}
        return await attributes.reader.get("priorityclasses", "", name)
