"""What every cluster has because the apiserver makes it: namespaces, the service `kubernetes`, priority classes.

Called by `core` at start. Several apiservers may start at once: what another one made is fine. Each keeps an
EndpointSlice of its own (upstream's share one), as several on one host differ in their ports. The slice of an
apiserver that died stays until it is back: proxies pass over an endpoint that does not answer.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resources.priorityclass import SYSTEM_CLASSES
from minik8s.kit.log import get_logger

log = get_logger(__name__)

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def bootstrap(handler: Handler, *, service_address: str, bind_address: str, secure_port: int) -> None:
    """Create what is missing; no endpoints without `bind_address`. Raises StatusError if the store does not answer."""
    for name in NAMESPACES:
        await _create(handler, "namespaces", "", {"metadata": {"name": name}})
    service = {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": service_address,
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": secure_port}],
        },
    }
    await _create(handler, "services", "default", service)
    endpoints: dict[str, Any] = {
        "metadata": {
            "name": f"kubernetes-{bind_address.replace(':', '-')}-{secure_port}",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv6" if ":" in bind_address else "IPv4",
        "endpoints": [{"addresses": [bind_address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": secure_port, "protocol": "TCP"}],
    }
    if bind_address:
        await _create(handler, "endpointslices", "default", endpoints, group="discovery.k8s.io")
    for name, value in SYSTEM_CLASSES.items():
        await _create(
            handler, "priorityclasses", "", {"metadata": {"name": name}, "value": value}, group="scheduling.k8s.io"
        )


async def _create(
    handler: Handler, plural: str, namespace: str, document: Mapping[str, Any], *, group: str = ""
) -> None:
    query, body = {"fieldManager": "kube-apiserver"}, msgspec.json.encode(document)
    request = Request("create", group, "v1", plural, namespace, query=query, body=body)
    try:
        await handler.call(request)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        log.debug("already there", resource=plural, document=document["metadata"])
