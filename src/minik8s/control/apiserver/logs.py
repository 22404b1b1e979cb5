"""`pods/NAME/log`: finds the pod's kubelet and passes the stream on, as it comes.

Called by `http`. The kubelet is found by the node's status (InternalIP and the kubelet's port) and authenticated by its
certificate; it knows us by our client certificate.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec
from yarl import URL

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resource import Document
from minik8s.kit import tls

_PASSED_ON = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes")
_CONNECT_TIMEOUT_S = 5.0


class KubeletClient:
    """Reads from kubelets. Without an identity there are no logs."""

    def __init__(self, identity: tls.Identity | None) -> None:
        self._identity = identity
        self._context: ssl.SSLContext | None = None

    @contextlib.asynccontextmanager
    async def open_log(self, handler: Handler, request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of a container's log, read with the rights of `handler`: the server's own. Raises StatusError."""
        pod = await _get(handler, "pods", request.name, request.namespace)
        container = choose_container(pod, request.query.get("container", ""))
        node_name = pod.get("spec", {}).get("nodeName", "")
        if not node_name:
            yield _nothing()  # As upstream: no log yet, which is no error.
            return
        node = await _get(handler, "nodes", node_name)
        address, port = kubelet_address(node)
        path = f"/containerLogs/{request.namespace}/{request.name}/{container}"
        query = {name: request.query[name] for name in _PASSED_ON if name in request.query}
        url = URL.build(scheme="https", host=address, port=port, path=path, query=query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            try:
                # No redirects: a node must not lead our certificate elsewhere (as upstream since CVE-2020-8559).
                async with session.get(url, ssl=self._tls(), allow_redirects=False) as answer:
                    if answer.status != 200:
                        raise _kubelet_error(answer.status, await answer.text())
                    yield answer.content.iter_any()
            except aiohttp.ClientError as error:
                raise StatusError("", f'Get "{url}": {error}', code=500) from error

    def _tls(self) -> ssl.SSLContext:
        if self._identity is None:
            raise errors.internal("the apiserver was started without --kubelet-client-certificate")
        if self._context is None:
            self._context = tls.client_context(self._identity)
        return self._context


def choose_container(pod: Document, asked: str) -> str:
    """The container meant by a request. Raises StatusError BadRequest, in upstream's words."""
    spec, name = pod.get("spec", {}), pod["metadata"]["name"]
    names = [each["name"] for each in spec.get("containers", ())]
    init_names = [each["name"] for each in spec.get("initContainers", ())]
    if asked:
        if asked not in names + init_names:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) == 1:
        return str(names[0])
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    if init_names:
        message += f" or one of the init containers: [{' '.join(init_names)}]"
    raise errors.bad_request(message)


def kubelet_address(node: Document) -> tuple[str, int]:
    """(address, port) of a node's kubelet. Raises StatusError if it has not said."""
    status = node.get("status", {})
    addresses: Mapping[str, str] = {each["type"]: each["address"] for each in status.get("addresses", ())}
    for kind in ("InternalIP", "Hostname", "ExternalIP"):
        if kind in addresses:
            port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 10250)
            return addresses[kind], port
    known = " ".join(f"{{{kind} {address}}}" for kind, address in addresses.items())
    raise StatusError("", f"no preferred addresses found; known addresses: [{known}]", code=500)


def _kubelet_error(status: int, text: str) -> StatusError:
    reason = {400: "BadRequest", 404: "NotFound"}.get(status, "InternalError")
    return StatusError(reason, text.strip() or f"the kubelet answered {status}", code=status)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _get(handler: Handler, plural: str, name: str, namespace: str = "") -> Document:
    response = await handler.call(Request("get", "", "v1", plural, namespace, name))
    document: Document = msgspec.json.decode(response.body)
    return document
