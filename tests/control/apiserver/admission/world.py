"""An apiserver for tests of admission: create, get and patch documents as somebody."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from control.apiserver.harness import ADMIN, local_core
from minik8s.api.request import MERGE_PATCH, Request, Response
from minik8s.control.apiserver.core import Core, CoreConfig

_RBAC = ("rbac.authorization.k8s.io", "v1")
GROUPS = {
    "certificatesigningrequests": ("certificates.k8s.io", "v1"),
    "clusterrolebindings": _RBAC,
    "clusterroles": _RBAC,
    "customresourcedefinitions": ("apiextensions.k8s.io", "v1"),
    "deployments": ("apps", "v1"),
    "endpointslices": ("discovery.k8s.io", "v1"),
    "gadgets": ("a.b", "v1"),
    "ingressclasses": ("networking.k8s.io", "v1"),
    "ingresses": ("networking.k8s.io", "v1"),
    "jobs": ("batch", "v1"),
    "poddisruptionbudgets": ("policy", "v1"),
    "runtimeclasses": ("node.k8s.io", "v1"),
    "storageclasses": ("storage.k8s.io", "v1"),
}
CLUSTER = frozenset(
    {
        "certificatesigningrequests",
        "clusterrolebindings",
        "clusterroles",
        "customresourcedefinitions",
        "ingressclasses",
        "namespaces",
        "nodes",
        "persistentvolumes",
        "runtimeclasses",
        "storageclasses",
    }
)


class Cluster:
    """Calls as one user; bodies are documents."""

    def __init__(self, core: Core, user: Any = ADMIN) -> None:
        self.core = core
        self._handler = core.api.as_user(user)

    def as_user(self, user: Any) -> "Cluster":
        return Cluster(self.core, user)

    async def call(
        self,
        verb: str,
        plural: str,
        name: str = "",
        body: Mapping[str, Any] | None = None,
        *,
        namespace: str = "default",
        subresource: str = "",
        content_type: str = "application/json",
        **query: str,
    ) -> Response:
        group, version = GROUPS.get(plural, ("", "v1"))
        place = "" if plural in CLUSTER else namespace
        encoded = b"" if body is None else msgspec.json.encode(body)
        request = Request(verb, group, version, plural, place, name, subresource, query, encoded, content_type)
        return await self._handler.call(request)

    async def create(self, plural: str, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        answer = msgspec.json.decode((await self.call("create", plural, "", body, **more)).body)
        await self.core.cache.reach(int(answer["metadata"].get("resourceVersion", 0)), 5)
        return answer

    async def get(self, plural: str, name: str, **more: Any) -> dict[str, Any]:
        return msgspec.json.decode((await self.call("get", plural, name, **more)).body)

    async def patch(self, plural: str, name: str, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        answer = msgspec.json.decode(
            (await self.call("patch", plural, name, body, content_type=MERGE_PATCH, **more)).body
        )
        await self.core.cache.reach(int(answer["metadata"]["resourceVersion"]), 5)
        return answer


@contextlib.asynccontextmanager
async def cluster(config: CoreConfig | None = None, **more: Any) -> AsyncIterator[Cluster]:
    """An apiserver; pods need no ServiceAccount, as nothing here makes any."""
    config = config or CoreConfig()
    disabled = (*config.admission.disabled, "ServiceAccount")
    config = replace(config, admission=replace(config.admission, disabled=disabled))
    async with local_core(config=config, **more) as core:
        made = Cluster(core)
        yield made


def pod(name: str = "p", *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    containers = containers or ({"name": "a"},)
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"image": "i", **each} for each in containers], **spec},
    }


def asks(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A container that asks for amounts."""
    resources = {"requests": requests or {}, "limits": limits or {}}
    return {"name": "a", "resources": resources, **more}
