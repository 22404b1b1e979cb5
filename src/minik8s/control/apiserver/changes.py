"""What a write makes of an object: replacement, the four kinds of patch, binding. Pure.

Called by `pipeline`, which computes a change again if the object it was made from is not the newest. Objects come and
go without their managedFields, which stand beside them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.control.apiserver import metadata, ownership, patch, schema
from minik8s.control.apiserver.call import Call
from minik8s.control.apiserver.managedfields import Entry
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.scale import SCALES, read_config
from minik8s.control.apiserver.tree import copied
from minik8s.control.apiserver.views import Binding, View, bind


@dataclass(frozen=True, slots=True)
class Changed:
    """The object after a change, which shares nothing with what it was made of."""

    document: Document
    warnings: list[str]
    owned: Any = None  # the managedFields that the client says, or that the apply has made
    is_applied: bool = False


Change = Callable[[Document, list[Entry]], Changed]  # of an object and its managedFields, which are left as they are


def replacement(call: Call, view: View) -> Change:
    """PUT. Raises StatusError BadRequest, Invalid, UnsupportedMediaType; and so does the change."""
    request, shown = call.request, view.resource or call.resource
    given, warnings = schema.decode(request.body, request.content_type, shown, call.field_validation)
    metadata.place(call.resource, given, namespace=request.namespace, name=request.name)
    owned = given["metadata"].pop("managedFields", None)

    def change(old: Document, entries: list[Entry]) -> Changed:
        if shown.custom and not given["metadata"].get("resourceVersion"):
            raise metadata.must_be_conditional(shown, request.name)
        return Changed(view.write(old, copied(given)), warnings, owned)

    return change


def patching(call: Call, view: View) -> Change:
    """PATCH that is no apply. Raises StatusError BadRequest, UnsupportedMediaType; and so does the change."""
    request, shown = call.request, view.resource or call.resource
    operations = patch.parse(request, shown)
    # A key of JSON may spell a letter as an escape, so this asks for less than is certain.
    is_about_owners = b"managedFields" in request.body or b"\\u" in request.body
    has_nulls = b"null" in request.body

    def change(old: Document, entries: list[Entry]) -> Changed:
        seen = copied(view.read(old))
        if is_about_owners and entries and view.resource is not SCALES:
            seen["metadata"]["managedFields"] = copied(entries)
        patched = patch.apply(seen, copied(operations), request.content_type, shown.model)
        checked, warnings = schema.check(patched, shown, call.field_validation, has_nulls=has_nulls)
        metadata.place(call.resource, checked, namespace=request.namespace, name=request.name)
        owned = checked["metadata"].pop("managedFields", None)
        return Changed(view.write(old, checked), warnings, owned)

    return change


class Applying:
    """Server-side apply, which can also begin from nothing."""

    def __init__(self, call: Call, view: View, now: str) -> None:
        """Raises StatusError BadRequest."""
        self._call = call
        self._view = view
        self._now = now
        request, shown = call.request, view.resource or call.resource
        self._config, self._warnings = patch.parse_config(request, shown, call.field_validation)
        metadata.place(call.resource, self._config, namespace=request.namespace, name=request.name)
        if view.resource is SCALES:
            self._config = read_config(call.spoken, self._config, view.write)

    def __call__(self, old: Document | None, entries: list[Entry]) -> Changed:
        """The change. Raises StatusError BadRequest, Conflict."""
        call, view = self._call, self._view
        request, shown = call.request, view.resource or call.resource
        is_scale = view.resource is SCALES
        live = old if old is None or is_scale else view.read(old)
        applied, owned = ownership.after_apply(
            call.resource, call.spoken, request, live, entries, self._config, self._now
        )
        if is_scale:
            applied = view.read(applied)
        checked, warnings = schema.check(copied(applied), shown, call.field_validation, has_nulls=False)
        metadata.place(call.resource, checked, namespace=request.namespace, name=request.name)
        return Changed(view.write(old or {}, checked), [*self._warnings, *warnings], owned, is_applied=True)

    def refuse_uid(self) -> None:
        """Raises StatusError Conflict if an object is meant that was there before."""
        if uid := self._config["metadata"].get("uid"):
            resource, name = self._call.resource, self._call.request.name
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise errors.conflict(resource.plural, resource.group, name, why)


def binding(call: Call, now: str) -> Change:
    """POST to pods/binding. Raises StatusError BadRequest; the change raises Conflict if the pod is bound."""
    try:
        given = msgspec.json.decode(call.request.body, type=Binding)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"the object provided is unrecognized (must be of type Binding): {error}") from None
    return lambda old, _: Changed(bind(old, given, now), [])
