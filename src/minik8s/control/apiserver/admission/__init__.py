"""Admission plugins, in execution order (as upstream's chain).

The server appends `allocation.ServiceAddresses`, which needs its configuration.
"""

from minik8s.control.apiserver.admission.attributes import Plugin
from minik8s.control.apiserver.admission.certificate_requester import CertificateRequester
from minik8s.control.apiserver.admission.limit_ranger import LimitRanger
from minik8s.control.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from minik8s.control.apiserver.admission.node_restriction import NodeRestriction
from minik8s.control.apiserver.admission.priority import Priority
from minik8s.control.apiserver.admission.taint_nodes import TaintNodesByCondition
from minik8s.control.apiserver.admission.tolerations import DefaultTolerationSeconds

CHAIN: tuple[Plugin, ...] = (
    NamespaceLifecycle(),  # First: what has no namespace is of no interest to the others.
    LimitRanger(),  # Before what looks at requests: defaults count as if they had been sent.
    NodeRestriction(),  # Refuses before anything is filled in, so that it judges what the node itself sent.
    CertificateRequester(),
    TaintNodesByCondition(),
    Priority(),
    DefaultTolerationSeconds(),
)
