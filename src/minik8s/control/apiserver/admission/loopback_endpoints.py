"""LoopbackEndpoints: nobody makes a Service lead to the node itself.

Upstream refuses such addresses in validation. Here it is a plugin, because clusters whose pods live on 127.0.0.0/8 (the
`process` engine) do without: `--allow-loopback-endpoints`.
"""

from collections.abc import Iterator

from minik8s.api import errors
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.causes import invalid
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.specialip import LOOPBACK_WRONG, is_loopback


class LoopbackEndpoints(Plugin):
    """Judges EndpointSlices and Endpoints."""

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Invalid."""
        if not attributes.writes("endpointslices", "endpoints"):
            return
        # As upstream: what is stored already is not judged again if the endpoints stay as they are.
        old = dict(_addresses(attributes.old)) if attributes.old else {}
        found = dict(_addresses(document))
        bad = [(path, text) for path, text in found.items() if is_loopback(text)]
        if bad and found != old:
            causes = [invalid(path, text, LOOPBACK_WRONG) for path, text in bad]
            raise errors.invalid(attributes.resource.kind, attributes.resource.group, attributes.name, causes)


def _addresses(document: Document) -> Iterator[tuple[str, str]]:
    """(path, address) of all endpoints."""
    if document.get("addressType") != "FQDN":
        for index, endpoint in enumerate(document.get("endpoints", ())):
            for place, text in enumerate(endpoint.get("addresses", ())):
                yield f"endpoints[{index}].addresses[{place}]", text
    for index, subset in enumerate(document.get("subsets", ())):
        for part in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(part, ())):
                yield f"subsets[{index}].{part}[{place}].ip", address.get("ip", "")
