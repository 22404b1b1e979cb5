"""What other servers serve, as discovery shows it beside our own: merged into the documents of `discovery`.

Filled by `availability` from what they answer, read by `documents`. A server that does not answer is shown as Stale,
without its resources if they were never seen, so that one broken extension hides nothing else.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from minik8s.control.apiserver.resource import Document

_OPTIONAL = ("shortNames", "categories")


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """A group and version, with the APIResources its server last told of; None: it does not answer."""

    group: str
    version: str
    resources: Sequence[Document] | None
    is_current: bool = True


class Remotes:
    """All of them by the names of their APIServices. `generation` grows with every change."""

    def __init__(self) -> None:
        self.generation = 0
        self._versions: dict[str, RemoteVersion] = {}

    @property
    def all(self) -> tuple[RemoteVersion, ...]:
        """In the order they were found."""
        return tuple(self._versions.values())

    def put(self, name: str, found: RemoteVersion) -> None:
        """What was found out about one."""
        known = self._versions.get(name)
        if found.resources is None:
            found = replace(found, resources=known.resources if known else (), is_current=False)
        if found != known:
            self._versions[name] = found
            self.generation += 1

    def keep(self, names: Collection[str]) -> None:
        """Forget all others."""
        for name in [name for name in self._versions if name not in names]:
            del self._versions[name]
            self.generation += 1


def merge_aggregated(document: Document, remotes: Iterable[RemoteVersion]) -> None:
    """Add them to an APIGroupDiscoveryList of `/apis`."""
    by_group: dict[str, Document] = {item["metadata"].get("name", ""): item for item in document["items"]}
    for remote in remotes:
        if remote.group not in by_group:
            by_group[remote.group] = {"metadata": {"name": remote.group}, "versions": []}
            document["items"].append(by_group[remote.group])
        by_group[remote.group]["versions"].append(
            {
                "version": remote.version,
                "resources": _aggregated(remote),
                "freshness": "Current" if remote.is_current else "Stale",
            }
        )


def merge_plain(documents: dict[str, Document], remotes: Iterable[RemoteVersion]) -> None:
    """Add them to the older documents: to `/apis`, and as `/apis/GROUP`."""
    for remote in remotes:
        entry = {"groupVersion": f"{remote.group}/{remote.version}", "version": remote.version}
        path = f"/apis/{remote.group}"
        group = next((each for each in documents["/apis"]["groups"] if each["name"] == remote.group), None)
        if group is None:
            group = {"name": remote.group, "versions": [], "preferredVersion": entry}
            documents["/apis"]["groups"].append(group)
        group["versions"].append(entry)
        documents[path] = {"kind": "APIGroup", "apiVersion": "v1", **group}


def _aggregated(remote: RemoteVersion) -> list[Document]:
    """APIResources in the form of aggregated discovery."""
    found: dict[str, Document] = {}
    for entry in remote.resources or ():
        name, _, subresource = entry["name"].partition("/")
        kind = {
            "group": entry.get("group") or remote.group,
            "version": entry.get("version") or remote.version,
            "kind": entry.get("kind", ""),
        }
        verbs: list[Any] = entry.get("verbs") or []
        if subresource:
            if name in found:
                shown = {"subresource": subresource, "responseKind": kind, "verbs": verbs}
                found[name].setdefault("subresources", []).append(shown)
            continue
        found[name] = {
            "resource": name,
            "responseKind": kind,
            "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
            "singularResource": entry.get("singularName", ""),
            "verbs": verbs,
        } | {field: entry[field] for field in _OPTIONAL if entry.get(field)}
    return list(found.values())
