"""CustomResourceDefinitions as they take effect: what each apiserver serves and caches because of them.

Told by `watchcache` of every change, in order and before any object of the kind is applied; changes `served`. Every
apiserver does so from the same changes, so they serve the same, within the time an event takes.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from minik8s.control.apiserver.extensions.conversion import Converter, Renaming
from minik8s.control.apiserver.extensions.customkind import resources_of
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.resources.customresourcedefinition import (
    CUSTOMRESOURCEDEFINITIONS,
    ESTABLISHED,
    has_condition,
)
from minik8s.control.apiserver.served import Served
from minik8s.kit.log import get_logger

log = get_logger(__name__)

_decode = msgspec.json.Decoder().decode


class Definitions:
    """A `watchcache.Definer`. `current` holds the definitions by name."""

    resource = CUSTOMRESOURCEDEFINITIONS

    def __init__(self, served: Served) -> None:
        self.current: dict[str, Document] = {}
        self.listeners: list[Callable[[], None]] = []  # told after every change
        self.converter: Callable[[Document], Converter] = lambda _: Renaming()  # set before the first is told
        self._served = served
        self._resources: dict[str, list[Resource]] = {}

    def reset(self, bodies: Mapping[str, bytes]) -> None:
        """These are all the definitions there are."""
        self.current.clear()
        self._resources.clear()
        self._served.clear()
        for name, body in bodies.items():
            self._define(name, _decode(body))
        self._tell()

    def apply(self, name: str, body: bytes | None) -> None:
        """A definition was written, or is gone."""
        if body is None:
            self.current.pop(name, None)
            self._resources.pop(name, None)
            self._served.put(name, ())
        else:
            self._define(name, _decode(body))
        self._tell()

    def cached(self) -> Iterable[Resource]:
        """One resource of each kind: the version that is stored. Served or not, as there may be objects."""
        return [resources[0] for resources in self._resources.values()]

    def _define(self, name: str, definition: Document) -> None:
        self.current[name] = definition
        try:
            resources = resources_of(definition, self.converter(definition))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            log.error("ignoring a definition that cannot be", name=name, error=f"{type(error).__name__}: {error}")
            self._resources.pop(name, None)
            self._served.put(name, ())
            return
        self._resources[name] = resources
        shown = {version["name"] for version in definition["spec"]["versions"] if version["served"]}
        is_served = has_condition(definition, ESTABLISHED)
        self._served.put(name, [each for each in resources if is_served and each.version in shown])

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()
