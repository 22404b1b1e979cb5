"""Calls of webhooks: a POST of JSON to a URL or a Service, over TLS, bounded in time, size and number.

Called by dynamic admission, and for whatever else has a `clientConfig`. A Service is reached at one of its ready
endpoints (as kube-apiserver does with --enable-aggregator-routing); for TLS it has its DNS name. No redirect is
followed and no proxy of the environment used: an answer of a webhook never chooses whom we call next.
"""

import asyncio
import base64
import binascii
import random
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import aiohttp
from yarl import URL

from minik8s.control.apiserver.resource import Document

ANSWER_BYTES_MAX = 3 * 1024 * 1024
CALLS_MAX = 128  # under way at once; further ones wait, within their time
_SERVICE_LABEL = "kubernetes.io/service-name"


class WebhookFailed(Exception):
    """A webhook that did not answer as it must; the text is upstream's, as far as it goes."""


class Looks(Protocol):
    """Reads of Services and EndpointSlices."""

    async def cached(self, plural: str, namespace: str, name: str) -> Document | None:
        """An object as of a moment ago."""
        ...

    async def list(self, plural: str, namespace: str = "") -> list[Document]:
        """Those of a namespace as of a moment ago."""
        ...


class WebhookClient:
    """The calls of one apiserver. Opens nothing before the first."""

    def __init__(self, looks: Looks, *, rng: random.Random) -> None:
        self._looks = looks
        self._rng = rng
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CALLS_MAX)

    async def post(self, config: Document, body: bytes, *, timeout_s: float) -> bytes:
        """The answer to `body` of the webhook that a WebhookClientConfig describes. Raises WebhookFailed."""
        shown = url_of(config).update_query(timeout=f"{timeout_s:g}s")
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._post(config, shown, body)
        except TimeoutError:
            raise WebhookFailed(f'Post "{shown}": context deadline exceeded') from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise WebhookFailed(f'Post "{shown}": {_certificate_fault(error)}') from None
        except aiohttp.ClientConnectorError as error:
            why = "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else error.strerror
            raise WebhookFailed(f'Post "{shown}": dial tcp {error.host}:{error.port}: connect: {why}') from None
        except aiohttp.ServerDisconnectedError:
            raise WebhookFailed(f'Post "{shown}": EOF') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebhookFailed(f'Post "{shown}": {error}') from None

    async def close(self) -> None:
        """Give back the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, config: Document, shown: URL, body: bytes) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CALLS_MAX)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        context = _context(config.get("caBundle") or "")
        target, name = shown, None
        if service := config.get("service"):
            host, port = await endpoint_of(self._looks, service, self._rng.choice)
            target, name = shown.with_host(host).with_port(port), str(shown.host)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "kube-apiserver-admission",
        }
        if name:
            headers["Host"] = name if shown.port == 443 else f"{name}:{shown.port}"
        async with self._session.post(
            target, data=body, headers=headers, ssl=context, server_hostname=name, allow_redirects=False
        ) as answer:
            found = await _bounded(answer)
            if answer.status == 404:
                raise WebhookFailed("the server could not find the requested resource")
            if not 200 <= answer.status < 300:
                text = found[:2048].decode(errors="replace").strip() or "unknown"
                raise WebhookFailed(f'an error on the server ("{text}") has prevented the request from succeeding')
            return found


async def endpoint_of(
    looks: Looks, reference: Document, choose: Callable[[list[tuple[str, int]]], tuple[str, int]]
) -> tuple[str, int]:
    """An address at which a Service's port is served. Raises WebhookFailed."""
    namespace, name, number = reference["namespace"], reference["name"], reference.get("port", 443)
    service = await looks.cached("services", namespace, name)
    if service is None:
        raise WebhookFailed(f'service "{name}" not found')
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName":
        return spec["externalName"], number
    port = next((each for each in spec.get("ports", ()) if each["port"] == number), None)
    if port is None:
        raise WebhookFailed(f'no service port {number} found for service "{name}"')
    found = []
    for piece in await looks.list("endpointslices", namespace):
        if piece["metadata"].get("labels", {}).get(_SERVICE_LABEL) != name:
            continue
        ports = [each["port"] for each in piece.get("ports", ()) if each.get("name", "") == port.get("name", "")]
        ready = [each for each in piece.get("endpoints", ()) if each.get("conditions", {}).get("ready", True)]
        found += [(address, at) for each in ready for address in each["addresses"] for at in ports if at]
    if not found:
        raise WebhookFailed(f'no endpoints available for service "{name}"')
    return choose(found)


def url_of(config: Document) -> URL:
    """Where a webhook is, as errors say it. Raises WebhookFailed."""
    service = config.get("service")
    try:
        if not service:
            return URL(config.get("url") or "")
        path = service.get("path") or "/"
        path, _, query = path.partition("?")
        host = f"{service['name']}.{service['namespace']}.svc"
        return URL.build(
            scheme="https", host=host, port=service.get("port", 443), path="/" + path.lstrip("/"), query_string=query
        )
    except (ValueError, KeyError) as error:
        raise WebhookFailed(f"invalid clientConfig: {error}") from None


def trust(ca_bundle: str) -> ssl.SSLContext:
    """TLS that trusts a bundle of PEM certificates in base64; without one, whom the machine trusts.

    Raises WebhookFailed for what is no such bundle.
    """
    if not ca_bundle:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=base64.b64decode(ca_bundle, validate=True).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError):
        why = "unable to load root certificates: unable to parse bytes as PEM block"
        raise WebhookFailed(why) from None


_context = lru_cache(maxsize=64)(trust)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The body. Raises WebhookFailed if there is too much of it."""
    parts, size = [], 0
    async for part in answer.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise WebhookFailed(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _certificate_fault(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, …_IP_ADDRESS_MISMATCH
            return f"tls: failed to verify certificate: x509: certificate is not valid for {error.host}"
        if cause.verify_code == 10:
            return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
