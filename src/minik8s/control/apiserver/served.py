"""What is served now: the built-in resources, and those that definitions bring and take away.

Asked by `handler`, `documents` and whoever goes through all kinds; changed by `extensions.definitions` alone, while
the watch cache applies a CustomResourceDefinition: in the order of revisions, on every apiserver.
"""

import re
from collections.abc import Iterable, Sequence

from minik8s.control.apiserver.resource import Resource

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STABILITY = {None: 2, "beta": 1, "alpha": 0}


class Served:
    """The resources by place. `generation` grows with every change, for those who keep what they made of them."""

    def __init__(self, builtin: Sequence[Resource]) -> None:
        self._builtin = tuple(builtin)
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self.generation = 0
        self._index()

    @property
    def all(self) -> tuple[Resource, ...]:
        """Every resource: built-in ones first, then custom ones by group, newest stable version first, and plural."""
        return self._all

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a place in the API."""
        return self._by_path.get((group, version, plural))

    def versions(self, resource: Resource) -> Sequence[Resource]:
        """All versions in which a kind is served, the preferred one first."""
        return self._versions.get((resource.group, resource.plural), ())

    def of_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """The resource whose objects are of a kind; of any version if none is given."""
        return next(
            (each for each in self._all if (each.group, each.kind) == (group, kind) and version in ("", each.version)),
            None,
        )

    def serves(self, group_version: str) -> bool:
        """Whether anything of `v1` or `apps/v1` is served."""
        return group_version in self._group_versions

    def put(self, name: str, resources: Sequence[Resource]) -> None:
        """Serve these (none: nothing any more) for the definition `name`."""
        if resources:
            self._custom[name] = tuple(resources)
        else:
            self._custom.pop(name, None)
        self._index()

    def clear(self) -> None:
        """Forget all definitions."""
        self._custom.clear()
        self._index()

    def _index(self) -> None:
        custom = (each for resources in self._custom.values() for each in resources)
        self._all = (*self._builtin, *_sorted(custom))
        # Should a definition ever name the place of a built-in kind, that stays.
        self._by_path = {(each.group, each.version, each.plural): each for each in reversed(self._all)}
        self._versions: dict[tuple[str, str], list[Resource]] = {}
        for each in self._all:
            self._versions.setdefault((each.group, each.plural), []).append(each)
        self._group_versions = {each.api_version for each in self._all}
        self.generation += 1


def version_order(version: str) -> tuple[int, int, int, int, str]:
    """Sorts versions as clients prefer them: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (1, 0, 0, 0, version)
    major, stability, minor = found.groups()
    return (0, -_STABILITY[stability], -int(major), -int(minor or 0), "")


def _sorted(resources: Iterable[Resource]) -> list[Resource]:
    by_plural = sorted(resources, key=lambda each: each.plural)
    by_version = sorted(by_plural, key=lambda each: version_order(each.version))
    return sorted(by_version, key=lambda each: each.group)
