"""ServiceAccount: who a pod is, to the API."""

from typing import Any

from minik8s.api.core_v1 import ServiceAccount
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name


def _row(account: Document, now_s: float) -> list[Any]:
    return [account["metadata"]["name"], age(account, now_s)]


SERVICEACCOUNTS = Resource(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    namespaced=True,
    model=ServiceAccount,
    storage_prefix="serviceaccounts",
    short_names=("sa",),
    subresources=("token",),
    columns=(NAME, AGE),
    row=_row,
    validate_name=subdomain_name,
)
