"""PySyncObj's Raft, loaded so that nothing process-wide is patched.

PySyncObj reads the clock, makes its journal and its poller through globals of one module. Each member gets a copy of
that module with these globals replaced, so several members with several clocks fit in one process, and a PySyncObj
that the user runs beside us is untouched. Its pickle is taken away: what would unpickle a peer's bytes fails instead.

tests/store/raft/test_pysync.py pins the source of everything relied on: read the difference before you change a hash.
"""

import importlib.util
import sys
import zlib
from collections.abc import Callable
from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport


class Member(Node):
    """A member by its name. The hash is the same in every process, so that sets of members iterate alike."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self._hash = zlib.crc32(id.encode())

    def __hash__(self) -> int:
        return self._hash


class _NoPoller:
    """Sockets are the event loop's."""

    def poll(self, timeout_s: float) -> None:
        pass


class Outbox(Transport):
    """PySyncObj's way out: hands what it sends to the core that owns it."""

    def __init__(self, core: Any, own: Member, others: list[Member]) -> None:
        super().__init__(core, own, others)
        self._core = core

    @property
    def ready(self) -> bool:
        return True

    def send(self, node: Member, message: dict[str, Any]) -> bool:
        self._core.on_outgoing(node.id, message)
        return True


def load(monotonic_s: Callable[[], float]) -> type:
    """The class SyncObj of a fresh copy of PySyncObj's module, whose time is `monotonic_s`."""
    origin = sys.modules["pysyncobj.syncobj"].__file__
    assert origin
    # Named inside the package, as the module imports its neighbours relatively.
    spec = importlib.util.spec_from_file_location("pysyncobj.syncobj_of_minik8s", origin)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    replaced = {
        "monotonicTime": monotonic_s,
        "createJournal": lambda journal: journal,
        "createPoller": lambda kind: _NoPoller(),
        "pickle": None,
    }
    for name, value in replaced.items():
        assert hasattr(module, name)
        setattr(module, name, value)
    return module.SyncObj
