"""The few calls that `up` and `status` make to the API: blocking REST with the administrator's certificate."""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from minik8s.kit.tls import Identity, client_context

Document = dict[str, Any]


class Api:
    """One API server, or the load balancer in front of several. A call that fails raises OSError or HTTPException."""

    def __init__(self, url: str, identity: Identity) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self._address = parts.hostname, parts.port
        self._context: ssl.SSLContext = client_context(identity)

    def is_ready(self, timeout_s: float = 2.0) -> bool:
        """Whether /readyz says so."""
        try:
            with self._get("/readyz", timeout_s) as response:
                return response.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str, timeout_s: float = 5.0) -> Document:
        """A document. Raises HTTPException for any status but 200."""
        with self._get(path, timeout_s) as response:
            body = response.read()
            if response.status != 200:
                raise http.client.HTTPException(f"{path}: {response.status} {body[:200].decode(errors='replace')}")
            document: Document = json.loads(body)
            return document

    def watch(self, path: str, timeout_s: float) -> Iterator[Document]:
        """Events until the server ends the watch; TimeoutError when none comes for `timeout_s`."""
        with self._get(path, timeout_s) as response:
            if response.status != 200:
                raise http.client.HTTPException(f"{path}: {response.status}")
            while line := response.readline():
                yield json.loads(line)

    @contextlib.contextmanager
    def _get(self, path: str, timeout_s: float) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPSConnection(*self._address, timeout=timeout_s, context=self._context)
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            yield connection.getresponse()
        finally:
            connection.close()


def is_node_ready(node: Document) -> bool:
    """Whether a Node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
