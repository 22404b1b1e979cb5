"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may say yes to which certificates.

To approve a request for a signer takes the verb `approve` on the signer, to sign it `sign` (resource `signers` of
certificates.k8s.io, its name or `DOMAIN/*`). Nobody asks the signer of clients for membership of system:masters: rights
of that group cannot be taken back.
"""

import base64
import binascii

from cryptography import x509
from cryptography.x509.oid import NameOID

from minik8s.control.apiserver.admission.asking import AskingPlugin
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_GROUP, _PLURAL = "certificates.k8s.io", "certificatesigningrequests"
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


class _ForSigner(AskingPlugin):
    async def may_for_signer(self, write: Attributes, verb: str, signer: str) -> bool:
        """By the signer's name, or by that of its domain."""
        names = (signer, f"{signer.split('/')[0]}/*")
        return any([await self.may(write, verb, _GROUP, "signers", name) for name in names])


class CertificateApproval(_ForSigner):
    """Judges writes of the subresource approval."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        if not attributes.writes(_PLURAL, subresource="approval"):
            return
        signer = _signer(attributes.old or document)
        if not await self.may_for_signer(attributes, "approve", signer):
            raise attributes.refuse(f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning(_ForSigner):
    """Judges writes of the subresource status that bring a certificate or conditions."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        if not attributes.writes(_PLURAL, subresource="status"):
            return
        old, new = ((each or {}).get("status", {}) for each in (attributes.old, document))
        if all(old.get(field) == new.get(field) for field in ("certificate", "conditions")):
            return
        signer = _signer(attributes.old or document)
        if not await self.may_for_signer(attributes, "sign", signer):
            raise attributes.refuse(f'user not permitted to sign requests with signerName "{signer}"')


class CertificateSubjectRestriction(Plugin):
    """Judges new requests."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden. What cannot be read is for validation to refuse."""
        if not attributes.creates(_PLURAL) or _signer(document) != _CLIENT_SIGNER:
            return
        try:
            asked = x509.load_pem_x509_csr(base64.b64decode(document.get("spec", {}).get("request", "")))
            organizations = asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        except (ValueError, TypeError, binascii.Error):
            return
        if any(each.value == _MASTERS for each in organizations):
            raise attributes.refuse(f"use of {_CLIENT_SIGNER} signer with {_MASTERS} group is not allowed")


def _signer(document: Document) -> str:
    return document.get("spec", {}).get("signerName", "")
