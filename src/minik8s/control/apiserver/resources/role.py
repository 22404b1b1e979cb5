"""Role: what may be done, in one namespace."""

from minik8s.api.errors import Cause
from minik8s.api.rbac_v1 import Role
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import CREATED_AT, NAME, created_row
from minik8s.control.apiserver.resources.policyrule import GROUP, path_segment_name, validate_rule


def _validate(role: Document) -> list[Cause]:
    rules = role.get("rules", [])
    return [
        cause for index, rule in enumerate(rules) for cause in validate_rule(rule, f"rules[{index}]", namespaced=True)
    ]


ROLES = Resource(
    group=GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    namespaced=True,
    model=Role,
    storage_prefix="roles",
    columns=(NAME, CREATED_AT),
    row=created_row,
    validate=_validate,
    validate_name=path_segment_name,
)
