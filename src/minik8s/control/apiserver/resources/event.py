"""Event: something that happened to an object, told once and counted."""

from typing import Any

from minik8s.api.core_v1 import Event
from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, not_supported, required
from minik8s.control.apiserver.duration import since
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

_COLUMNS = (
    Column("Last Seen", description="When it was seen last."),
    Column("Type", description="Normal or Warning."),
    Column("Reason", description="A short word for why."),
    Column("Object", description="What the event is about."),
    Column("Subobject", priority=1, description="Which part of the object, a container say."),
    Column("Source", priority=1, description="The component that reports it."),
    Column("Message", description="What happened, for people."),
    Column("First Seen", priority=1, description="When it was seen first."),
    Column("Count", priority=1, description="How often it was seen."),
    Column(NAME.name, format=NAME.format, priority=1, description=NAME.description),
)
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _default(event: Document) -> None:
    event.setdefault("involvedObject", {})


def _validate(event: Document) -> list[Cause]:
    found = []
    own, involved = event["metadata"].get("namespace", ""), event["involvedObject"].get("namespace", "")
    if own != involved and (involved or own != "default"):  # Events about cluster-scoped objects live in default.
        found.append(invalid("involvedObject.namespace", involved, "does not match event.namespace"))
    if "eventTime" in event:  # The newer way to write events is strict about what it says.
        if not event.get("reportingComponent"):
            found.append(required("reportingController"))
        if not event.get("reason"):
            found.append(required("reason"))
        if event.get("type") not in ("Normal", "Warning"):
            found.append(not_supported("type", event.get("type", ""), ["Normal", "Warning"]))
    return found


def _row(event: Document, now_s: float) -> list[Any]:
    first = since(event.get("firstTimestamp") or event.get("eventTime"), now_s)
    last = since(event["lastTimestamp"], now_s) if event.get("lastTimestamp") else first
    count = event.get("count") or 1
    if series := event.get("series"):
        last, count = since(series.get("lastObservedTime"), now_s), series.get("count", 0)
    involved, source = event.get("involvedObject", {}), event.get("source", {})
    kind = involved.get("kind", "").lower()
    target = f"{kind}/{involved['name']}" if involved.get("name") else kind
    reporter = (
        source.get("component") or event.get("reportingComponent", ""),
        source.get("host") or event.get("reportingInstance", ""),
    )
    return [
        last,
        event.get("type", ""),
        event.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        ", ".join(filter(None, reporter)),
        event.get("message", "").strip(),
        first,
        count,
        event["metadata"]["name"],
    ]


def _fields(event: Document) -> dict[str, str]:
    involved = event.get("involvedObject", {})
    component = event.get("reportingComponent", "")
    return {f"involvedObject.{name}": involved.get(name, "") for name in _INVOLVED} | {
        "reason": event.get("reason", ""),
        "reportingComponent": component,
        "source": event.get("source", {}).get("component") or component,
        "type": event.get("type", ""),
    }


EVENTS = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    namespaced=True,
    model=Event,
    storage_prefix="events",
    short_names=("ev",),
    columns=_COLUMNS,
    row=_row,
    default=_default,
    validate=_validate,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=(
        *(f"involvedObject.{name}" for name in _INVOLVED),
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
)
