"""DenyServiceExternalIPs: nobody claims addresses for a Service that the cluster does not hand out (CVE-2020-8554)."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document


class DenyServiceExternalIPs(Plugin):
    """Off unless asked for, as upstream. Addresses that are there already may stay."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden."""
        if not attributes.writes("services"):
            return
        before = (attributes.old or {}).get("spec", {}).get("externalIPs", [])
        if any(address not in before for address in document.get("spec", {}).get("externalIPs", ())):
            raise attributes.refuse("Use of external IPs is denied by admission control")
