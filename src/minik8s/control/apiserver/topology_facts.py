"""How lists and objects of the built-in kinds are owned in server-side apply: facts, no logic.

Read by `topology_builtin`. The facts are the listType, listMapKey and structType marks of the API types of Kubernetes
1.36. Lists that merge in a strategic merge patch (`merge_facts`) are owned by the same key, but for what KEYS says;
all other lists are owned as a whole, all other objects and maps field by field.
"""

# The keys of list elements where they are not those of strategic merge. Empty: the list is owned as a whole.
KEYS: dict[str, tuple[str, ...]] = {
    "admissionregistration_v1.ValidatingAdmissionPolicyStatus.conditions": ("type",),
    "apiextensions_v1.CustomResourceDefinitionStatus.conditions": ("type",),
    "apiregistration_v1.APIServiceStatus.conditions": ("type",),
    "batch_v1.JobStatus.conditions": (),
    "certificates_v1.CertificateSigningRequestStatus.conditions": ("type",),
    "core_v1.Container.ports": ("containerPort", "protocol"),
    "core_v1.EphemeralContainer.ports": ("containerPort", "protocol"),
    "core_v1.PodSpec.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "core_v1.PodStatus.hostIPs": (),
    "core_v1.ResourceRequirements.claims": ("name",),
    "core_v1.ResourceStatus.resources": ("resourceID",),
    "core_v1.ServiceSpec.ports": ("port", "protocol"),
    "resource_v1.AllocatedDeviceStatus.conditions": ("type",),
    "resource_v1.ResourceClaimStatus.devices": ("driver", "device", "pool", "shareID"),
}

KEY_DEFAULTS = {"protocol": "TCP"}
"""What a key is when an element leaves it out."""

# Sets of scalars, besides those of strategic merge.
_SETS = """
    admissionregistration_v1.ValidatingAdmissionPolicyBindingSpec.validationActions
    batch_v1.PodFailurePolicyOnExitCodesRequirement.values batch_v1.UncountedTerminatedPods.failed
    batch_v1.UncountedTerminatedPods.succeeded core_v1.ContainerRestartRuleOnExitCodes.values
    discovery_v1.Endpoint.addresses storage_v1.CSIDriverSpec.volumeLifecycleModes
"""
SETS = frozenset(_SETS.split())

# Objects, wherever they stand, and single fields that are owned as a whole.
_ATOMIC = """
    admissionregistration_v1.MatchResources admissionregistration_v1.NamedRuleWithOperations
    admissionregistration_v1.ParamKind admissionregistration_v1.ParamRef admissionregistration_v1.Variable
    autoscaling_v1.CrossVersionObjectReference core_v1.ConfigMapKeySelector core_v1.EndpointAddress
    core_v1.EndpointPort core_v1.FileKeySelector core_v1.LocalObjectReference core_v1.NodeSelector
    core_v1.NodeSelectorTerm core_v1.ObjectFieldSelector core_v1.ObjectReference
    core_v1.PersistentVolumeClaimStatus.allocatedResourceStatuses core_v1.PodSpec.nodeSelector
    core_v1.ReplicationControllerSpec.selector core_v1.ResourceFieldSelector core_v1.ScopeSelector
    core_v1.SecretKeySelector core_v1.SecretReference core_v1.ServiceSpec.selector core_v1.TopologySelectorTerm
    core_v1.TypedLocalObjectReference discovery_v1.EndpointPort meta_v1.LabelSelector meta_v1.OwnerReference
    networking_v1.ServiceBackendPort node_v1.Scheduling.nodeSelector rbac_v1.RoleRef rbac_v1.Subject
"""
ATOMIC = frozenset(_ATOMIC.split())

# Single fields that are granular although their type is atomic.
GRANULAR = frozenset(["core_v1.PersistentVolumeSpec.claimRef"])

# Objects that Go's types always have, if only empty: they are not added by who first fills them.
ALWAYS: dict[str, tuple[str, ...]] = {
    "CronJob": (
        "spec.jobTemplate.metadata",
        "spec.jobTemplate.spec.template.metadata",
        "spec.jobTemplate.spec.template.spec",
    ),
    "CustomResourceDefinition": ("spec.names", "status.acceptedNames"),
    "DaemonSet": ("spec.template.metadata", "spec.template.spec", "spec.updateStrategy"),
    "Deployment": ("spec.template.metadata", "spec.template.spec", "spec.strategy"),
    "Event": ("involvedObject", "source", "regarding", "deprecatedSource"),
    "HorizontalPodAutoscaler": ("spec.scaleTargetRef",),
    "Ingress": ("status.loadBalancer",),
    "Job": ("spec.template.metadata", "spec.template.spec"),
    "NetworkPolicy": ("spec.podSelector",),
    "Node": ("status.daemonEndpoints.kubeletEndpoint", "status.nodeInfo"),
    "PersistentVolumeClaim": ("spec.resources",),
    "PodTemplate": ("template.metadata", "template.spec"),
    "ReplicaSet": ("spec.template.metadata", "spec.template.spec"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Service": ("status.loadBalancer",),
    "StatefulSet": ("spec.template.metadata", "spec.template.spec", "spec.updateStrategy"),
    "VolumeAttachment": ("spec.source",),
}
