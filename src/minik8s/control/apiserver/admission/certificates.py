"""CertificateApproval and CertificateSigning: who may say yes to a certificate, and who may make it.

To approve a request for a signer takes the verb `approve` on the signer, to sign it `sign` (resource `signers` of
certificates.k8s.io, its name or `DOMAIN/*`).
"""

from minik8s.control.apiserver.admission.asking import AskingPlugin
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.resource import Document

_GROUP, _PLURAL = "certificates.k8s.io", "certificatesigningrequests"


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


def _signer(document: Document) -> str:
    return document.get("spec", {}).get("signerName", "")
