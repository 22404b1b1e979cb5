"""FlowSchema: which requests belong to which priority level. Stored; the server has one limit for all (`inflight`)."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.flowcontrol_v1 import FlowSchema
from minik8s.control.apiserver.causes import invalid, not_supported, one_of, required
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME, NONE
from minik8s.control.apiserver.resources.objectmeta import subdomain_name
from minik8s.control.apiserver.resources.status import keep_status

_PRECEDENCE_MAX = 10_000
_SUBJECTS = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}


def _default(schema: Document) -> None:
    schema.setdefault("spec", {}).setdefault("matchingPrecedence", 1000)


def _prepare_create(schema: Document) -> None:
    schema["status"] = {}


def _validate(schema: Document) -> list[Cause]:
    spec = schema["spec"]
    found = []
    if not 1 <= spec["matchingPrecedence"] <= _PRECEDENCE_MAX:
        why = f"must be between 1 and {_PRECEDENCE_MAX}, inclusive"
        found.append(invalid("spec.matchingPrecedence", spec["matchingPrecedence"], why))
    if "distinguisherMethod" in spec:
        method = spec["distinguisherMethod"].get("type", "")
        found += one_of("spec.distinguisherMethod", method, ("ByNamespace", "ByUser"))
    if not spec.get("priorityLevelConfiguration", {}).get("name"):
        why = "must reference a priority level"
        found.append(required("spec.priorityLevelConfiguration.name", why))
    for index, rule in enumerate(spec.get("rules", ())):
        found += _rule(rule, f"spec.rules[{index}]")
    return found


def _rule(rule: Document, path: str) -> list[Cause]:
    found = []
    if not rule.get("subjects"):
        found.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.get("subjects", ())):
        kind, here = subject.get("kind", ""), f"{path}.subjects[{index}]"
        if kind not in _SUBJECTS:
            found.append(not_supported(f"{here}.kind", kind, sorted(_SUBJECTS)))
        elif not subject.get(_SUBJECTS[kind], {}).get("name"):
            found.append(required(f"{here}.{_SUBJECTS[kind]}.name"))
    resources, paths = rule.get("resourceRules", ()), rule.get("nonResourceRules", ())
    if not resources and not paths:
        found.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, each in enumerate(resources):
        here = f"{path}.resourceRules[{index}]"
        found += [required(f"{here}.{field}") for field in ("verbs", "apiGroups", "resources") if not each.get(field)]
        if not each.get("namespaces") and not each.get("clusterScope"):
            why = "resource rules that are not cluster scoped must supply at least one namespace"
            found.append(required(f"{here}.namespaces", why))
    for index, each in enumerate(paths):
        here = f"{path}.nonResourceRules[{index}]"
        found += [required(f"{here}.{field}") for field in ("verbs", "nonResourceURLs") if not each.get(field)]
    return found


def _row(schema: Document, now_s: float) -> list[Any]:
    spec = schema.get("spec", {})
    conditions = {each.get("type"): each.get("status") for each in schema.get("status", {}).get("conditions", ())}
    return [
        schema["metadata"]["name"],
        spec.get("priorityLevelConfiguration", {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        spec.get("distinguisherMethod", {}).get("type") or NONE,
        age(schema, now_s),
        conditions.get("Dangling", "?"),
    ]


FLOWSCHEMAS = Resource(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="FlowSchema",
    plural="flowschemas",
    namespaced=False,
    model=FlowSchema,
    storage_prefix="flowschemas",
    subresources=("status",),
    columns=(
        NAME,
        Column("PriorityLevel", description="The level its requests belong to."),
        Column("MatchingPrecedence", description="Which of several that match counts: the lowest."),
        Column("DistinguisherMethod", description="What tells the flows of one schema apart."),
        AGE,
        Column("MissingPL", description="Whether the level is missing."),
    ),
    row=_row,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    validate=_validate,
    validate_name=subdomain_name,
)
