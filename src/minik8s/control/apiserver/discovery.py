"""Discovery: what is served, told to clients in three dialects, all made from the list of Resources. Pure.

`aggregated` is what kubectl since 1.27 asks for: two documents say everything. The older form is a tree of small ones,
which scripts read too (`kubectl auth can-i`, `drain`).
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence

from minik8s.control.apiserver import versions
from minik8s.control.apiserver.resource import Document, Resource

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_WITHOUT_COLLECTION_DELETE = frozenset({"namespaces"})  # As kube-apiserver: too much would go at once.
# Subresource → its verbs, and the kind it speaks (group, version, kind) if that is another than its resource's.
_SUBRESOURCES: dict[str, tuple[tuple[str, ...], tuple[str, str, str] | None]] = {
    "approval": (("get", "patch", "update"), None),
    "binding": (("create",), ("", "v1", "Binding")),
    "ephemeralcontainers": (("get", "patch", "update"), None),
    "eviction": (("create",), ("policy", "v1", "Eviction")),
    "finalize": (("update",), None),
    "log": (("get",), None),
    "proxy": (("create", "delete", "get", "patch", "update"), ("", "v1", "{}ProxyOptions")),
    "resize": (("get", "patch", "update"), None),
    "scale": (("get", "patch", "update"), ("autoscaling", "v1", "Scale")),
    "status": (("get", "patch", "update"), None),
    "token": (("create",), ("authentication.k8s.io", "v1", "TokenRequest")),
}


def aggregated(resources: Sequence[Resource], path: str, version: str) -> Document:
    """The APIGroupDiscoveryList for `/api` or `/apis`, in version v2 or v2beta1."""
    groups = [""] if path == "/api" else _groups(resources)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated_group(resources, group) for group in groups],
    }


def documents(resources: Sequence[Resource]) -> dict[str, Document]:
    """The older documents by their paths: `/api`, `/apis`, `/api/v1`, `/apis/apps`, `/apis/apps/v1`, …"""
    found: dict[str, Document] = {
        "/api": {"kind": "APIVersions", "versions": _versions(resources, ""), "serverAddressByClientCIDRs": []},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(resources, group) for group in _groups(resources)],
        },
    }
    for group in _groups(resources):
        found[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(resources, group)}
    for resource in resources:
        found.setdefault(group_path(resource), _resource_list(resources, resource))
    return found


def group_path(resource: Resource) -> str:
    """`/api/v1`, `/apis/apps/v1`."""
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


def verbs_of(resource: Resource) -> list[str]:
    """The verbs a resource has."""
    if not resource.is_stored:
        return ["create"]
    lacks = {"deletecollection"} if resource.plural in _WITHOUT_COLLECTION_DELETE else set()
    return [verb for verb in _VERBS if verb not in lacks]


def _groups(resources: Iterable[Resource]) -> list[str]:
    """Named groups, in the order of their first resource."""
    return list(dict.fromkeys(resource.group for resource in resources if resource.group))


def _versions(resources: Iterable[Resource], group: str) -> list[str]:
    return list(dict.fromkeys(resource.version for resource in resources if resource.group == group))


def _members(resources: Iterable[Resource], group: str, version: str) -> list[Resource]:
    members = [item for item in resources if (item.group, item.version) == (group, version)]
    return sorted(members, key=lambda item: item.plural)


def _aggregated_group(resources: Sequence[Resource], group: str) -> Document:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(item) for item in _members(resources, group, version)],
            "freshness": "Current",
        }
        for version in _versions(resources, group)
    ]
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(resource: Resource) -> Document:
    document: Document = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular_name,
        "verbs": verbs_of(resource),
    }
    document |= _names(resource)
    if resource.subresources:
        document["subresources"] = [_aggregated_subresource(resource, name) for name in resource.subresources]
    return document


def _aggregated_subresource(resource: Resource, name: str) -> Document:
    verbs, other = _SUBRESOURCES[name]
    group, version, kind = other or (resource.group, resource.version, resource.kind)
    return {
        "subresource": name,
        "responseKind": {"group": group, "version": version, "kind": kind.format(resource.kind)},
        "verbs": list(verbs),
    }


def _group(resources: Sequence[Resource], group: str) -> Document:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in _versions(resources, group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(resources: Sequence[Resource], of: Resource) -> Document:
    entries: list[Document] = []
    for resource in _members(resources, of.group, of.version):
        entries.append(
            {
                "name": resource.plural,
                "singularName": resource.singular_name,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": verbs_of(resource),
                **_names(resource),
                **_storage_version(resource),
            }
        )
        entries += [_subresource(resource, name) for name in resource.subresources]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": of.api_version, "resources": entries}


def _subresource(resource: Resource, name: str) -> Document:
    verbs, other = _SUBRESOURCES[name]
    entry: Document = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if other:
        entry |= {"group": other[0], "version": other[1]} if other[0] else {}
    return entry | {"kind": other[2].format(resource.kind) if other else resource.kind, "verbs": list(verbs)}


def _storage_version(resource: Resource) -> Document:
    """A word for what is stored, by which clients that migrate storage see that it changed; as upstream."""
    if not resource.is_stored:
        return {}
    stored = versions.stored_version(resource)
    told = hashlib.sha256(f"{stored.group}/{stored.version}/{stored.kind}".encode()).digest()[:8]
    return {"storageVersionHash": base64.b64encode(told).decode()}


def _names(resource: Resource) -> Document:
    names = {"shortNames": list(resource.short_names), "categories": list(resource.categories)}
    return {key: value for key, value in names.items() if value}
