"""How an answer looks over REST: the media type that was asked for, and the document in that shape. Pure.

Called by `http`. Documents are JSON, or YAML made of it; who asks for protobuf first (kubectl) takes JSON second.
Tables and metadata-only objects are asked for by parameters of the media type (`as=Table;g=meta.k8s.io;v=v1`), for
objects, lists and the events of watches.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request, WatchEvent
from minik8s.control.apiserver import printers
from minik8s.control.apiserver.lines import LineCache
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.scale import SCALES

TABLE, PARTIAL, PARTIAL_LIST = "Table", "PartialObjectMetadata", "PartialObjectMetadataList"
YAML = "application/yaml"
_JSON_RANGES = frozenset({JSON, "*/*", "application/*", ""})
_YAML_TYPES = frozenset({YAML, "application/x-yaml", "text/yaml"})

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Shape:
    """What a client accepts, of what we have."""

    form: str = ""  # TABLE, PARTIAL, PARTIAL_LIST; "" is the document itself
    is_yaml: bool = False

    @property
    def content_type(self) -> str:
        """The answer's Content-Type. As upstream, the form is told by the document alone."""
        return YAML if self.is_yaml else JSON


@functools.lru_cache(256)
def negotiate(accept: str, *, is_watch: bool = False) -> Shape:
    """The shape the client likes best of those we can make. Raises StatusError NotAcceptable.

    Protobuf is never answered: Go's clients, which ask for it, name JSON second. A watch is never YAML, as upstream.
    """
    for kind, parameters in _clauses(accept):
        form = parameters.get("as", "")
        is_yaml = kind in _YAML_TYPES
        if kind not in _JSON_RANGES and not is_yaml:
            continue
        if is_watch and (is_yaml or parameters.get("stream", "watch") != "watch"):
            continue
        if not form:
            return Shape("", is_yaml)
        if form in (TABLE, PARTIAL, PARTIAL_LIST) and (parameters.get("g"), parameters.get("v")) == (
            "meta.k8s.io",
            "v1",
        ):
            return Shape(form, is_yaml)
    accepted = f"{JSON};stream=watch" if is_watch else f"{JSON}, {YAML}"
    raise StatusError("NotAcceptable", f"only the following media types are accepted: {accepted}")


def negotiate_failure(accept: str) -> Shape:
    """The shape of a failure: never refused, never a table."""
    try:
        return Shape("", negotiate(accept).is_yaml)
    except StatusError:
        return Shape()


def _clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    """(media type, parameters) of an Accept header, best first: by quality, then as they stand."""
    found = []
    for clause in accept.split(",") if accept else [""]:
        kind, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        if (quality := _quality(parameters.get("q", "1"))) > 0:
            found.append((quality, kind.lower(), parameters))
    found.sort(key=lambda each: -each[0])
    return [(kind, parameters) for _, kind, parameters in found]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def to_yaml(body: bytes) -> bytes:
    """A JSON document as YAML, keys in their alphabet, as Go writes it."""
    import yaml  # Rarely asked for.

    return yaml.dump(_decode(body), Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True).encode()


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
    shape: Shape, resource: Resource, request: Request, now_s: Callable[[], float], lines: LineCache | None = None
) -> Callable[[WatchEvent], bytes]:
    """A function that makes lines of a watch's events. The first table alone carries the columns."""
    has_columns = True
    lines = lines or LineCache()
    include = request.query.get("includeObject", "")

    def line(event: WatchEvent) -> bytes:
        nonlocal has_columns
        if not shape.form or event.type == "ERROR":
            return _line(event, event.object)
        columns = has_columns and shape.form == TABLE
        has_columns = has_columns and event.type == "BOOKMARK"
        return lines.get(event, (shape.form, include, columns), lambda: _line(event, shaped(event, columns)))

    def shaped(event: WatchEvent, columns: bool) -> bytes:
        document = _decode(event.object)
        if shape.form != TABLE:
            return _encode(printers.partial(document))
        documents = [] if event.type == "BOOKMARK" else [document]
        metadata = {"resourceVersion": _revision(document)}
        return _encode(_table(resource, request, documents, metadata, now_s(), columns=columns))

    return line


def _line(event: WatchEvent, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event.type.encode(), body)


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
