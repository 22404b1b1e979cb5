"""`pods/NAME/proxy`, `services/NAME/proxy`, `nodes/NAME/proxy`: lets what runs in the cluster answer a request.

Called by `http`, once it is clear that the user may. NAME may be `[SCHEME:]NAME[:PORT]`. Limits: only addresses of pods
as upstream takes them (no loopback, unless pods live there; no link-local), no redirects followed, no credentials of
the caller passed on. Upgrades (WebSockets) are not.
"""

import random
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.logs import kubelet_address
from minik8s.control.apiserver.resource import Document
from minik8s.kit import tls

_CONNECT_TIMEOUT_S = 5.0
_SERVICE_LABEL = "kubernetes.io/service-name"
_SCHEMES = ("", "http", "https")
# Of the connection, or of the caller: neither is the backend's business.
_HOP_BY_HOP = ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade")
_DROPPED = frozenset({*_HOP_BY_HOP, "transfer-encoding", "content-length", "host", "authorization"})
_DROPPED_PREFIXES = ("impersonate-", "x-remote-", "sec-websocket-")


@dataclass(frozen=True, slots=True)
class Target:
    """What a name means: `https:web:8443`."""

    scheme: str
    name: str
    port: str


def parse_target(text: str, kind: str) -> Target:
    """Read a name. Raises StatusError BadRequest in upstream's words."""
    parts = text.split(":")
    if len(parts) > 3:
        raise errors.bad_request(f'invalid {kind} request "{text}"')
    scheme, name, port = parts if len(parts) == 3 else ("", parts[0], parts[1] if len(parts) == 2 else "")
    if scheme not in _SCHEMES or not name:
        raise errors.bad_request(f'invalid {kind} request "{text}"')
    return Target(scheme or "http", name, port)


class Proxies:
    """Passes requests on. Opens nothing before it is asked."""

    def __init__(self, identity: tls.Identity | None, *, allows_loopback: bool, rng: random.Random) -> None:
        """`identity` is for kubelets; without one there are no nodes."""
        self._identity = identity
        self._allows_loopback = allows_loopback
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        handler: Handler,
        request: Request,
        *,
        method: str,
        path: str,
        query: str,
        headers: Iterable[tuple[str, str]],
        body: AsyncIterator[bytes] | None,
        client: str,
    ) -> aiohttp.ClientResponse:
        """The answer, whose body is still to be read. `handler` is the server's own. Raises StatusError."""
        if any(step in (".", "..") for step in path.split("/")):
            raise errors.bad_request("the path of the request is not clean")
        target = parse_target(request.name, request.resource.removesuffix("s"))
        match request.resource:
            case "pods":
                host, port = await self._pod(handler, request.namespace, target)
            case "services":
                host, port = await self._service(handler, request.namespace, target)
            case _:
                host, port = await self._kubelet(handler, target)
                target = Target("https", target.name, target.port)
        url = URL.build(scheme=target.scheme, host=host, port=port, path=path, query_string=query)
        sent = CIMultiDict(
            (name, value)
            for name, value in headers
            if name.lower() not in _DROPPED and not name.lower().startswith(_DROPPED_PREFIXES)
        )
        sent["X-Forwarded-For"] = ", ".join([*sent.popall("X-Forwarded-For", []), client])
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
        try:
            return await self._open().request(
                method,
                url,
                headers=sent,
                data=body,
                ssl=self._tls(request.resource),
                allow_redirects=False,
                timeout=timeout,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StatusError(
                "ServiceUnavailable", f"error trying to reach service: {str(error) or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """Give back the connections."""
        if self._session:
            await self._session.close()

    async def _pod(self, handler: Handler, namespace: str, target: Target) -> tuple[str, int]:
        pod = await _get(handler, "", "pods", namespace, target.name)
        address = self._allowed(pod.get("status", {}).get("podIP", ""))
        if target.port:
            return address, _number(target.port)
        ports = [port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", ())]
        return address, ports[0] if ports else (443 if target.scheme == "https" else 80)

    async def _service(self, handler: Handler, namespace: str, target: Target) -> tuple[str, int]:
        service = await _get(handler, "", "services", namespace, target.name)
        port_name = _service_port(service, target)
        query = {"labelSelector": f"{_SERVICE_LABEL}={target.name}", "resourceVersion": "0"}
        listed = await handler.call(Request("list", "discovery.k8s.io", "v1", "endpointslices", namespace, query=query))
        found = [
            (address, port["port"])
            for endpoints in msgspec.json.decode(listed.body)["items"]
            for port in endpoints.get("ports") or ()
            if port.get("name", "") == port_name and port.get("port")
            for endpoint in endpoints.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
        ]
        if not found:
            raise errors.service_unavailable(f'no endpoints available for service "{target.name}"', retry_after_s=0)
        address, number = self._rng.choice(found)
        return self._allowed(address), number

    async def _kubelet(self, handler: Handler, target: Target) -> tuple[str, int]:
        address, port = kubelet_address(await _get(handler, "", "nodes", "", target.name))
        if target.port and _number(target.port) != port:
            raise errors.bad_request("only the port of the kubelet can be reached on a node")
        return address, port

    def _allowed(self, address: str) -> str:
        """As upstream since CVE-2020-8555: an object's status must not lead us to our own machine."""
        try:
            parsed = ip_address(address)
        except ValueError:
            raise errors.bad_request("address not allowed") from None
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed  # `::ffff:127.0.0.1` is what it looks like.
        is_ours = parsed.is_loopback and not self._allows_loopback
        if is_ours or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
            raise errors.bad_request("address not allowed")
        return address

    def _tls(self, resource: str) -> ssl.SSLContext | bool:
        if resource != "nodes":
            return False  # As upstream: the certificates of pods are nobody's to check.
        if self._identity is None:
            raise errors.internal("the apiserver was started without --kubelet-client-certificate")
        return tls.client_context(self._identity)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False)
        return self._session


def _service_port(service: Document, target: Target) -> str:
    """The name of the port that is meant. Raises StatusError ServiceUnavailable."""
    ports = service.get("spec", {}).get("ports", ())
    if not target.port and len(ports) == 1:
        return str(ports[0].get("name", ""))
    for port in ports:
        if target.port and target.port in (port.get("name"), str(port["port"])):
            return str(port.get("name", ""))
    if target.port:
        raise errors.service_unavailable(
            f'no service port "{target.port}" found for service "{target.name}"', retry_after_s=0
        )
    return ""


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise errors.bad_request(f'invalid port "{text}"')
    return int(text)


async def _get(handler: Handler, group: str, plural: str, namespace: str, name: str) -> Document:
    response = await handler.call(Request("get", group, "v1", plural, namespace, name))
    document: Document = msgspec.json.decode(response.body)
    return document
