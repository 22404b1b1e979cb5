"""CertificateRequester: a signing request says who made it, and only the server may say that."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document


class CertificateRequester(Plugin):
    """As kube-apiserver's strategy of the kind: user name and groups are those of the request."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """Whatever the client claims is overwritten."""
        if not attributes.creates("certificatesigningrequests"):
            return
        spec = document.setdefault("spec", {})
        for field in ("uid", "extra", "groups"):
            spec.pop(field, None)
        spec["username"] = attributes.user_name
        if attributes.groups:
            spec["groups"] = list(attributes.groups)
