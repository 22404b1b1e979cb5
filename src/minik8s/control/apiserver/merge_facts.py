"""How lists and maps of the built-in kinds merge in a strategic merge patch: facts, no logic.

Read by `strategic` (the server's side) and `openapi` (which publishes them for kubectl's side). The facts are the
`patchStrategy` and `patchMergeKey` tags of the API types of Kubernetes 1.36; a field that is not listed is replaced.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One field's strategy. `key` is empty for lists of scalars, which merge as sets."""

    merge: bool = False
    retain_keys: bool = False
    key: str = ""
    replace: bool = False  # of an object: it is replaced, where others merge


# (strategies, merge key) → fields, written MODEL.FIELD with MODEL as lightkube names its modules and classes.
_FACTS: dict[tuple[str, str], str] = {
    ("merge", ""): """
        core_v1.NodeSpec.podCIDRs meta_v1.ObjectMeta.finalizers
    """,
    ("merge", "containerPort"): """
        core_v1.Container.ports core_v1.EphemeralContainer.ports
    """,
    ("merge", "devicePath"): """
        core_v1.Container.volumeDevices core_v1.EphemeralContainer.volumeDevices
    """,
    ("merge", "ip"): """
        core_v1.PodSpec.hostAliases core_v1.PodStatus.hostIPs core_v1.PodStatus.podIPs
    """,
    ("merge", "mountPath"): """
        core_v1.Container.volumeMounts core_v1.ContainerStatus.volumeMounts core_v1.EphemeralContainer.volumeMounts
    """,
    ("merge", "name"): """
        admissionregistration_v1.MutatingAdmissionPolicySpec.matchConditions
        admissionregistration_v1.MutatingWebhook.matchConditions
        admissionregistration_v1.MutatingWebhookConfiguration.webhooks
        admissionregistration_v1.ValidatingAdmissionPolicySpec.matchConditions
        admissionregistration_v1.ValidatingAdmissionPolicySpec.variables
        admissionregistration_v1.ValidatingWebhook.matchConditions
        admissionregistration_v1.ValidatingWebhookConfiguration.webhooks core_v1.Container.env
        core_v1.ContainerStatus.allocatedResourcesStatus core_v1.EphemeralContainer.env core_v1.PodSpec.containers
        core_v1.PodSpec.ephemeralContainers core_v1.PodSpec.imagePullSecrets core_v1.PodSpec.initContainers
        core_v1.PodSpec.schedulingGates core_v1.ServiceAccount.secrets storage_v1.CSINodeSpec.drivers
    """,
    ("merge", "port"): """
        core_v1.ServiceSpec.ports
    """,
    ("merge", "topologyKey"): """
        core_v1.PodSpec.topologySpreadConstraints
    """,
    ("merge", "type"): """
        apps_v1.DaemonSetStatus.conditions apps_v1.DeploymentStatus.conditions apps_v1.ReplicaSetStatus.conditions
        apps_v1.StatefulSetStatus.conditions autoscaling_v2.HorizontalPodAutoscalerStatus.conditions
        batch_v1.JobStatus.conditions core_v1.ComponentStatus.conditions core_v1.NamespaceStatus.conditions
        core_v1.NodeStatus.addresses core_v1.NodeStatus.conditions core_v1.PersistentVolumeClaimStatus.conditions
        core_v1.PodStatus.conditions core_v1.ReplicationControllerStatus.conditions core_v1.ServiceStatus.conditions
        flowcontrol_v1.FlowSchemaStatus.conditions flowcontrol_v1.PriorityLevelConfigurationStatus.conditions
        networking_v1.ServiceCIDRStatus.conditions policy_v1.PodDisruptionBudgetStatus.conditions
    """,
    ("merge", "uid"): """
        resource_v1.ResourceClaimStatus.reservedFor meta_v1.ObjectMeta.ownerReferences
    """,
    ("merge,retainKeys", "name"): """
        core_v1.PodSpec.resourceClaims core_v1.PodSpec.volumes core_v1.PodStatus.resourceClaimStatuses
    """,
    ("replace", ""): """
        policy_v1.PodDisruptionBudgetSpec.selector
    """,
    ("retainKeys", ""): """
        apps_v1.DeploymentSpec.strategy
    """,
}

RULES: dict[str, Rule] = {
    field: Rule("merge" in strategies, "retainKeys" in strategies, key, strategies == "replace")
    for (strategies, key), fields in _FACTS.items()
    for field in fields.split()
}
"""MODEL.FIELD → its rule: `core_v1.PodSpec.containers` merges by `name`."""


def rule_of(model: type, field: str) -> Rule | None:
    """The rule of a model's field, or None where the patch simply replaces."""
    return RULES.get(f"{model.__module__.rpartition('.')[2]}.{model.__name__}.{field}")
