"""Admission plugins, in execution order (as upstream's chain), each called what upstream calls it: as its class.

The server appends `allocation.ServiceAddresses`, which needs its configuration, and charges quotas when everything else
has agreed (`resource_quota`). `selection` switches plugins on and off.
"""

from minik8s.control.apiserver.admission.always_pull import AlwaysPullImages
from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.admission.certificate_requester import CertificateRequester
from minik8s.control.apiserver.admission.certificate_subject import CertificateSubjectRestriction
from minik8s.control.apiserver.admission.certificates import CertificateApproval, CertificateSigning
from minik8s.control.apiserver.admission.claim_resize import PersistentVolumeClaimResize
from minik8s.control.apiserver.admission.default_class import DefaultIngressClass, DefaultStorageClass
from minik8s.control.apiserver.admission.external_ips import DenyServiceExternalIPs
from minik8s.control.apiserver.admission.limit_ranger import LimitRanger
from minik8s.control.apiserver.admission.loopback_endpoints import LoopbackEndpoints
from minik8s.control.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from minik8s.control.apiserver.admission.node_restriction import NodeRestriction
from minik8s.control.apiserver.admission.owner_references import OwnerReferencesPermissionEnforcement
from minik8s.control.apiserver.admission.pod_node_selector import PodNodeSelector
from minik8s.control.apiserver.admission.pod_security import PodSecurity
from minik8s.control.apiserver.admission.priority import Priority
from minik8s.control.apiserver.admission.runtime_class import RuntimeClass
from minik8s.control.apiserver.admission.service_account import ServiceAccount
from minik8s.control.apiserver.admission.storage_protection import StorageObjectInUseProtection
from minik8s.control.apiserver.admission.taint_nodes import TaintNodesByCondition
from minik8s.control.apiserver.admission.tolerations import DefaultTolerationSeconds

ALL: tuple[Plugin, ...] = (
    NamespaceLifecycle(),  # First: what has no namespace is of no interest to the others.
    AlwaysPullImages(),
    LimitRanger(),  # Before what looks at requests: defaults count as if they had been sent.
    ServiceAccount(),
    NodeRestriction(),  # Refuses before anything is filled in, so that it judges what the node itself sent.
    CertificateRequester(),
    TaintNodesByCondition(),
    PodNodeSelector(),  # Before RuntimeClass: the class must agree with the namespace too.
    PodSecurity(),  # Its place matters to messages only: it validates, after all mutation.
    Priority(),
    DefaultTolerationSeconds(),
    DefaultStorageClass(),
    StorageObjectInUseProtection(),
    OwnerReferencesPermissionEnforcement(),
    PersistentVolumeClaimResize(),
    RuntimeClass(),
    CertificateApproval(),
    CertificateSigning(),
    CertificateSubjectRestriction(),
    DefaultIngressClass(),
    DenyServiceExternalIPs(),
    LoopbackEndpoints(),  # Switched by a flag of its own.
)

# Upstream's defaults, but for NodeRestriction, which is on here as in clusters of kubeadm.
OFF_BY_DEFAULT = frozenset(
    {"AlwaysPullImages", "DenyServiceExternalIPs", "OwnerReferencesPermissionEnforcement", "PodNodeSelector"}
)

CHAIN: tuple[Plugin, ...] = tuple(plugin for plugin in ALL if type(plugin).__name__ not in OFF_BY_DEFAULT)
