"""Event in events.k8s.io/v1: the same as the core one, under newer names."""

from typing import Any

from lightkube.models.events_v1 import Event

from minik8s.control.apiserver.resource import Conversion, Document, Resource
from minik8s.control.apiserver.resources.event import EVENTS
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

# Names here → names in the core group.
_NAMES = {
    "deprecatedCount": "count",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedSource": "source",
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
}
_CORE_NAMES = {core: name for name, core in _NAMES.items()}


def from_core(event: Document) -> Document:
    """The newer form."""
    return {"eventTime": None} | {_CORE_NAMES.get(name, name): value for name, value in event.items()}


def to_core(event: Document) -> Document:
    """The core form."""
    return {_NAMES.get(name, name): value for name, value in event.items() if value is not None}


def _row(event: Document, now_s: float) -> Any:
    return EVENTS.row(to_core(event), now_s)


EVENTS_V1 = Resource(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    namespaced=True,
    model=Event,
    storage_prefix=EVENTS.storage_prefix,
    short_names=EVENTS.short_names,
    columns=EVENTS.columns,
    row=_row,
    validate_name=subdomain_name,
    fields=lambda event: EVENTS.fields(to_core(event)),
    field_names=EVENTS.field_names,
    conversion=Conversion(EVENTS, from_core, to_core),
)
