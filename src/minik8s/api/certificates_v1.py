"""The group certificates.k8s.io, version v1: models and kinds."""

from lightkube.models.certificates_v1 import *  # noqa: F403
from lightkube.models.certificates_v1 import (
    CertificateSigningRequest,
)

from minik8s.api.kind import Kind

CERTIFICATESIGNINGREQUESTS = Kind(
    CertificateSigningRequest, "certificates.k8s.io", "v1", "certificatesigningrequests", namespaced=False
)
