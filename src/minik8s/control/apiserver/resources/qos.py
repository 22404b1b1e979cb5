"""The quality-of-service class of a pod: who is evicted first. It follows from the resources and never changes."""

from minik8s.control.apiserver.resource import Document

_COMPUTE = ("cpu", "memory")


def qos_class(spec: Document) -> str:
    """Guaranteed, Burstable or BestEffort, of a spec before or after defaulting."""
    containers = [*spec.get("initContainers", ()), *spec.get("containers", ())]
    resources = [container.get("resources", {}) for container in containers]
    wanted = [(_compute(item.get("requests", {})), _compute(item.get("limits", {}))) for item in resources]
    if not any(requests or limits for requests, limits in wanted):
        return "BestEffort"
    for requests, limits in wanted:
        if len(limits) < len(_COMPUTE) or limits | requests != limits:
            return "Burstable"
    return "Guaranteed"


def _compute(amounts: dict[str, str]) -> dict[str, str]:
    """Processor and memory; quantities are canonical, so equal amounts are equal texts."""
    return {name: amounts[name] for name in _COMPUTE if amounts.get(name, "0") != "0"}
