"""Lines of watches that are neither plain nor one client's alone: tables and metadata are made once per event.

Asked by `rest` for the watches of one face. A plain line is a copy of the object's bytes, which is cheaper to make than
to look up. Limits: 64 events and 4 MB; the oldest go.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from minik8s.api.request import WatchEvent

_LINES_MAX = 64
_BYTES_MAX = 4 * 1024 * 1024


class LineCache:
    """The last lines made, by event and shape."""

    def __init__(self) -> None:
        # The event is kept with its line: as long as it is, no other object has its identity.
        self._lines: OrderedDict[tuple[int, Hashable], tuple[WatchEvent, bytes]] = OrderedDict()
        self._size_bytes = 0

    def get(self, event: WatchEvent, shape: Hashable, make: Callable[[], bytes]) -> bytes:
        """The line of an event in a shape, made if it was not."""
        key = (id(event), shape)
        found = self._lines.get(key)
        if found:
            return found[1]
        line = make()
        self._lines[key] = (event, line)
        self._size_bytes += len(line)
        while len(self._lines) > _LINES_MAX or self._size_bytes > _BYTES_MAX:
            self._size_bytes -= len(self._lines.popitem(last=False)[1][1])
        return line
