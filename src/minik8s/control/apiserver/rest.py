"""How an answer looks over REST: the media type that was asked for, and the document in that shape. Pure.

Called by `http`. Documents are JSON; clients that ask for protobuf first (kubectl does) always accept JSON second.
Tables and metadata-only objects are asked for by parameters of the media type (`as=Table;g=meta.k8s.io;v=v1`), for
objects, lists and the events of watches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request, WatchEvent
from minik8s.control.apiserver import printers
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.scale import SCALES

TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
_JSON_RANGES = frozenset({JSON, "*/*", "application/*", ""})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Shape:
    """What a client accepts, of what we have."""

    form: str = ""  # TABLE, PARTIAL, PARTIAL_LIST; "" is the document itself

    @property
    def content_type(self) -> str:
        """The answer's Content-Type."""
        return f"{JSON};as={self.form};v=v1;g=meta.k8s.io" if self.form else JSON


def negotiate(accept: str) -> Shape:
    """The first acceptable shape. Raises StatusError NotAcceptable."""
    for clause in accept.split(",") if accept else [""]:
        kind, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        form = parameters.get("as", "")
        if kind.lower() not in _JSON_RANGES:
            continue
        if not form:
            return Shape()
        if form in (TABLE, PARTIAL, PARTIAL_LIST) and (parameters.get("g"), parameters.get("v")) == (
            "meta.k8s.io",
            "v1",
        ):
            return Shape(form)
    raise StatusError("NotAcceptable", f"only the following media types are accepted: {JSON}")


def accepts(accept: str, *wanted: str) -> bool:
    """Whether a header names all of `wanted` in one of its clauses: `accepts(h, "g=apidiscovery.k8s.io", "v=v2")`."""
    clauses = [{part.strip() for part in clause.split(";")} for clause in accept.split(",")]
    return any(clause.issuperset(wanted) for clause in clauses)


def render(shape: Shape, resource: Resource, request: Request, body: bytes, now_s: float) -> bytes:
    """An object or list in the shape asked for."""
    if not shape.form:
        return body
    document = _decode(body)
    kind = document.get("kind")
    if kind == f"{resource.kind}List":
        return _encode(_list_shaped(shape, resource, request, document, now_s))
    if kind == SCALES.kind:
        resource = SCALES
    elif kind != resource.kind:
        return body  # A Status.
    if shape.form == TABLE:
        return _encode(_table(resource, request, [document], {"resourceVersion": _revision(document)}, now_s))
    return _encode(printers.partial(document))


def event_renderer(
    shape: Shape, resource: Resource, request: Request, now_s: Callable[[], float]
) -> Callable[[WatchEvent], bytes]:
    """A function that makes lines of a watch's events. The first table alone carries the columns."""
    has_columns = True

    def line(event: WatchEvent) -> bytes:
        nonlocal has_columns
        body = event.object
        if shape.form and event.type != "ERROR":
            document = _decode(body)
            if shape.form == TABLE:
                metadata = {"resourceVersion": _revision(document)}
                documents = [] if event.type == "BOOKMARK" else [document]
                body = _encode(_table(resource, request, documents, metadata, now_s(), columns=has_columns))
                has_columns = has_columns and event.type == "BOOKMARK"
            else:
                body = _encode(printers.partial(document))
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), body)

    return line


def _list_shaped(shape: Shape, resource: Resource, request: Request, document: Document, now_s: float) -> Document:
    if shape.form == TABLE:
        return _table(resource, request, document["items"], document["metadata"], now_s)
    return printers.partial_list(document["items"], document["metadata"])


def _table(
    resource: Resource,
    request: Request,
    documents: list[Document],
    metadata: Document,
    now_s: float,
    *,
    columns: bool = True,
) -> Document:
    include = request.query.get("includeObject") or "Metadata"
    return printers.table(resource, documents, now_s=now_s, include_object=include, list_meta=metadata, columns=columns)


def _revision(document: Document) -> str:
    revision: str = document.get("metadata", {}).get("resourceVersion", "")
    return revision
