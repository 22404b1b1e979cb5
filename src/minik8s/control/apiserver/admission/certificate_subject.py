"""CertificateSubjectRestriction: nobody becomes a member of system:masters by a certificate for clients of the API."""

import base64
import binascii

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


class CertificateSubjectRestriction(Plugin):
    """Judges what a certificate for clients is asked for."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        spec = document.get("spec") or {}
        if not attributes.creates("certificatesigningrequests") or spec.get("signerName") != _SIGNER:
            return
        from cryptography import x509  # Signing requests are rare.
        from cryptography.x509.oid import NameOID

        try:
            request = x509.load_pem_x509_csr(base64.b64decode(spec.get("request", ""), validate=True))
        except (ValueError, binascii.Error) as error:
            raise attributes.refuse(f"failed to parse CSR: {error}") from None
        if _MASTERS in {each.value for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)}:
            raise attributes.refuse(f"use of {_SIGNER} signer with {_MASTERS} group is not allowed")
