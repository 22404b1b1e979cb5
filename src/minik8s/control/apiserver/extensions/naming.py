"""Which names a CustomResourceDefinition gets, and whether its kind is served: a pure judgement on its status.

As k8s.io/apiextensions-apiserver's naming and establishing controllers, in one step. The names of a group are taken by
those whose status has them; `keeper` writes what is judged here, guarded by the revision it was judged at.
"""

import copy
from collections.abc import Iterable

from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.customresourcedefinition import ESTABLISHED, NAMES_ACCEPTED, condition

_CONFLICTS = (
    ("plural", "PluralConflict"),
    ("singular", "SingularConflict"),
    ("shortNames", "ShortNamesConflict"),
    ("kind", "KindConflict"),
    ("listKind", "ListKindConflict"),
)
_KINDS = ("kind", "listKind")


def judged(definition: Document, others: Iterable[Document], now: str) -> Document:
    """The definition with the status it should have; `others` are all definitions, this one may be among them."""
    status = copy.deepcopy(definition.get("status", {}))
    judged = definition | {"status": status}  # Schemas are large, and stay as they are.
    accepted, conflict = _accepted(definition, others)
    status["acceptedNames"] = accepted
    if conflict:
        reason, message = conflict
        set_condition(judged, NAMES_ACCEPTED, "False", reason, message, now)
        if condition(definition, ESTABLISHED) is None:
            set_condition(judged, ESTABLISHED, "False", "NotAccepted", "not all names are accepted", now)
        return judged
    set_condition(judged, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now)
    found = condition(definition, ESTABLISHED)
    if found is None or found["status"] != "True":
        message = "the initial names have been accepted"
        set_condition(judged, ESTABLISHED, "True", "InitialNamesAccepted", message, now)
    return judged


def set_condition(document: Document, type_: str, status: str, reason: str, message: str, now: str) -> None:
    """Put a condition in place; its time changes with its status alone."""
    status_document = document.setdefault("status", {})
    conditions = status_document["conditions"] = list(status_document.get("conditions") or ())
    made = {"type": type_, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for index, each in enumerate(conditions):
        if each["type"] == type_:
            if each["status"] == status:
                made["lastTransitionTime"] = each.get("lastTransitionTime", now)
            conditions[index] = made
            return
    conditions.append(made)


def _accepted(definition: Document, others: Iterable[Document]) -> tuple[Document, tuple[str, str] | None]:
    """(the names it has, why it has not all it asks for)."""
    spec, name = definition["spec"], definition["metadata"]["name"]
    same_group = [
        each["status"].get("acceptedNames") or {}
        for each in others
        if each["metadata"]["name"] != name and each["spec"]["group"] == spec["group"] and "status" in each
    ]
    taken_resources = {text for each in same_group for text in _resource_names(each)}
    taken_kinds = {each[field] for each in same_group for field in _KINDS if each.get(field)}
    asked, had = spec["names"], definition.get("status", {}).get("acceptedNames") or {}
    accepted, conflict = copy.deepcopy(asked), None
    for field, reason in _CONFLICTS:
        taken = taken_kinds if field in _KINDS else taken_resources
        if field == "shortNames":
            mine = [text for text in asked.get(field) or () if text not in (had.get(field) or ())]
        else:
            mine = [asked[field]] if asked.get(field) and asked[field] != had.get(field) else []
        used = [f'"{text}" is already in use' for text in mine if text in taken]
        if used:
            conflict = reason, used[0] if len(used) == 1 else f"[{', '.join(used)}]"
            accepted.pop(field, None)
            if field in had:
                accepted[field] = had[field]
    for field in ("plural", "kind"):
        accepted.setdefault(field, "")
    return accepted, conflict


def _resource_names(names: Document) -> list[str]:
    return [text for text in (names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())) if text]
