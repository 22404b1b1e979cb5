"""A state made the data of a member that has not started yet: `minik8s store snapshot restore`. Blocking."""

from pathlib import Path

from minik8s.store.machine import Machine
from minik8s.store.raft.snapshots import Framer, Header, Snapshots

# The restored state stands for a log of this length. A member that starts without it then has a log too short to
# match, and is sent the state, instead of taking up at entry 1 without it.
_INDEX = 1000
_TERM = 1


def write(machine: Machine, data_dir: Path) -> None:
    """Write the snapshot that a member starts from. Raises FileExistsError if there is data already, OSError."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise FileExistsError(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    snapshots = Snapshots(data_dir / "snap")
    snapshots.open()
    draft, framer = snapshots.draft("restored"), Framer()
    # Without a configuration: who the members are, they are told when they start.
    header = Header(_INDEX, _TERM, None)
    draft.write(framer.header(header))
    for chunk in machine.snapshot():
        draft.write(framer.chunk(chunk))
    draft.write(framer.end())
    draft.keep(header)
