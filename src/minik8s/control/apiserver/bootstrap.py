"""What exists in every cluster because the apiserver makes it: namespaces, the service `kubernetes`, priority classes.

Called by `server` at start. Several apiservers may start at once: what another one made is fine.
"""

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resources.priorityclass import SYSTEM_CLASSES
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_SCHEDULING = "scheduling.k8s.io"
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def bootstrap(handler: Handler, *, service_address: str, secure_port: int) -> None:
    """Create what is missing. Raises StatusError when the store does not answer."""
    for name in NAMESPACES:
        await _create(handler, "namespaces", "", {"metadata": {"name": name}})
    service = {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": service_address,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": secure_port}],
        },
    }
    await _create(handler, "services", "default", service)
    for name, value in SYSTEM_CLASSES.items():
        await _create(handler, "priorityclasses", "", {"metadata": {"name": name}, "value": value}, _SCHEDULING)


async def _create(handler: Handler, plural: str, namespace: str, document: dict[str, object], group: str = "") -> None:
    request = Request("create", group, "v1", plural, namespace, body=msgspec.json.encode(document))
    try:
        await handler.call(request)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        log.debug("already there", resource=plural, document=document["metadata"])
