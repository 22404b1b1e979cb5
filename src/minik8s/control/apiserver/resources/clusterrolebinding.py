"""ClusterRoleBinding: who may do what a role says, everywhere."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.rbac_v1 import ClusterRoleBinding
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.policyrule import (
    GROUP,
    default_binding,
    path_segment_name,
    role_cell,
    subject_cells,
    validate_binding,
    validate_binding_update,
)


def _validate(binding: Document) -> list[Cause]:
    return validate_binding(binding, roles=("ClusterRole",), namespaced=False)


def _row(binding: Document, now_s: float) -> list[Any]:
    return [binding["metadata"]["name"], role_cell(binding), age(binding, now_s), *subject_cells(binding)]


CLUSTERROLEBINDINGS = Resource(
    group=GROUP,
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
    model=ClusterRoleBinding,
    storage_prefix="clusterrolebindings",
    columns=(
        NAME,
        Column("Role", description="The role that is bound."),
        AGE,
        Column("Users", priority=1, description="Users it is bound to."),
        Column("Groups", priority=1, description="Groups it is bound to."),
        Column("ServiceAccounts", priority=1, description="Service accounts it is bound to."),
    ),
    row=_row,
    default=default_binding,
    validate=_validate,
    validate_update=validate_binding_update,
    validate_name=path_segment_name,
)
