"""The group admissionregistration.k8s.io, version v1: models and kinds."""

from lightkube.models.admissionregistration_v1 import *  # noqa: F403
from lightkube.models.admissionregistration_v1 import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
)

from minik8s.api.kind import Kind

MUTATINGADMISSIONPOLICIES = Kind(
    MutatingAdmissionPolicy, "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", namespaced=False
)
MUTATINGADMISSIONPOLICYBINDINGS = Kind(
    MutatingAdmissionPolicyBinding,
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    namespaced=False,
)
MUTATINGWEBHOOKCONFIGURATIONS = Kind(
    MutatingWebhookConfiguration,
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
VALIDATINGADMISSIONPOLICIES = Kind(
    ValidatingAdmissionPolicy, "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", namespaced=False
)
VALIDATINGADMISSIONPOLICYBINDINGS = Kind(
    ValidatingAdmissionPolicyBinding,
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
VALIDATINGWEBHOOKCONFIGURATIONS = Kind(
    ValidatingWebhookConfiguration,
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    namespaced=False,
)
