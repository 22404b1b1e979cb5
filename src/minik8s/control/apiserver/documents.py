"""What the REST face serves that is no resource: discovery, OpenAPI, /version. Made from what is served, once each.

Called by `http`. Documents change with the definitions of custom kinds, at once; each has an ETag.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from minik8s.api.request import JSON
from minik8s.control.apiserver import discovery, openapi, rest
from minik8s.control.apiserver.extensions.remotes import Remotes, merge_aggregated, merge_plain
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.served import Served

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+minik8s",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-11-20T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "linux/amd64",
}

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it is served."""

    body: bytes
    content_type: str = JSON
    etag: str = ""
    is_immutable: bool = False  # its address changes when it does
    cache_control: str = ""  # "" is the usual: not at all
    vary: str = "Accept"
    is_dated: bool = False  # kept by Last-Modified
    shows_etag: bool = True


class Documents:
    """The documents about what is served."""

    def __init__(
        self, served: Served, others: Mapping[str, tuple[bytes, str]] | None = None, remotes: Remotes | None = None
    ) -> None:
        """`others`: (body, content type) of further documents, by path; `remotes`: what other servers serve."""
        self._remotes = remotes or Remotes()
        self._others = {path: _found(*each) for path, each in (others or {}).items()}
        self._served = served
        self._generation = (-1, -1)  # of `served` and `remotes`, when what is kept here was made
        self._resources: tuple[Resource, ...] = ()
        self._openapi = openapi.OpenApi()
        self._plain: dict[str, Found] = {}
        self._renew()

    def _renew(self) -> None:
        """Forget what was made before the resources changed."""
        generation = self._served.generation, self._remotes.generation
        if self._generation != generation:
            self._generation = generation
            self._resources = self._served.all
            self._openapi.describe(self._resources)
            self._plain.clear()

    def serves(self, group_version: str) -> bool:
        """Whether anything of `v1` or `apps/v1` is served."""
        return self._served.serves(group_version)

    def find(self, path: str, accept: str) -> Found | None:
        """The document at a path, in the form a client accepts; None if there is none."""
        self._renew()
        path = path.rstrip("/") or "/"
        if path in self._others:
            return self._others[path]
        if path in ("/api", "/apis"):
            for version in ("v2", "v2beta1"):  # A client that is told the wrong one of the two fails.
                if rest.accepts(accept, "g=apidiscovery.k8s.io", f"v={version}", "as=APIGroupDiscoveryList"):
                    return self._aggregated(path, version)
        if path == "/openapi/v3":
            return replace(_found(self._openapi.index()), is_dated=True, shows_etag=False, vary="")
        if path.startswith("/openapi/v3/"):
            built = self._openapi.document(path.removeprefix("/openapi/v3/"))
            if built is None:
                return None
            return Found(built[0], JSON, f'"{built[1]}"', True, "public, immutable", is_dated=True)
        if path == "/openapi/v2":
            # Old kubectls insist on it and read it as protobuf only. An empty one leaves validation to the server;
            # newer ones do without it once they have v3.
            empty = replace(_found(_EMPTY_SWAGGER, _SWAGGER_ANSWER_TYPE), is_dated=True, vary="Accept-Encoding")
            return empty if _SWAGGER_TYPE in accept else None
        if not self._plain:
            documents: dict[str, Document] = {"/": {"paths": self._paths()}} | discovery.documents(self._resources)
            merge_plain(documents, self._remotes.all)
            documents["/version"] = VERSION
            self._plain = {name: Found(_encode(document), vary="") for name, document in documents.items()}
        return self._plain.get(path)

    def _aggregated(self, path: str, version: str) -> Found:
        document = discovery.aggregated(self._resources, path, version)
        if path == "/apis":
            merge_aggregated(document, self._remotes.all)
        found = _found(_encode(document), f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
        return replace(found, cache_control="public")

    def _paths(self) -> list[str]:
        others = ["/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version", *self._others]
        return sorted([*discovery.documents(self._resources), *others])


def _found(body: bytes, content_type: str = JSON) -> Found:
    return Found(body, content_type, f'"{hashlib.sha256(body).hexdigest()}"')


_SWAGGER_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
# As kube-openapi: a media type may not hold "@", and Go's client refuses an answer whose type does.
_SWAGGER_ANSWER_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# The Document message of gnostic's OpenAPIv2: swagger (1) "2.0", info (2) {title (1) "Kubernetes", version (2) "v1"},
# paths (8) and definitions (9) empty.
_EMPTY_SWAGGER = b"\x0a\x032.0\x12\x10\x0a\x0aKubernetes\x12\x02v1\x42\x00\x4a\x00"
