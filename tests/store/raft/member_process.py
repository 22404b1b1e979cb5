"""One member in a process of its own, with writers on it: `python member_process.py DIRECTORY NAME WRITERS`.

Notes every acknowledged command in DIRECTORY/acks-NAME with the time of the acknowledgement before the writer goes
on, says on standard output when it leads, and on standard input is told `quiet` (stop writing, then print what was
applied).
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import uvloop
from members import Ledger

from minik8s.kit import log, tls
from minik8s.kit.clock import SystemClock
from minik8s.store.raft.config import RaftConfig
from minik8s.store.raft.errors import RaftError
from minik8s.store.raft.node import RaftNode


async def main(directory: Path, name: str, writers: int) -> None:
    peers = {member: tuple(address) for member, address in json.loads((directory / "peers.json").read_text()).items()}
    identity = tls.Authority(directory / "ca").issue(name, user=name)
    ledger = Ledger()
    # Small, so that members are killed while they take, send and install snapshots.
    config = RaftConfig(
        name,
        directory / name,
        peers,
        peers[name],
        identity=identity,
        segment_bytes=1 << 20,
        snapshot_entries=150,
        keep_entries=20,
    )
    node = RaftNode(config, ledger, clock=SystemClock(), rng=random.SystemRandom())
    node.on_restored(lambda: print("restored", flush=True))
    node.on_leadership(lambda leads, term: leads and print(f"leads {term}", flush=True))
    acks = os.open(directory / f"acks-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    clock = SystemClock()
    life = random.SystemRandom().getrandbits(32)

    async def write(writer: int) -> None:
        number = 0
        while True:
            number += 1
            command = f"{name}.{life}.{writer}.{number}".encode()
            try:
                place = await node.propose(command)
            except RaftError as error:
                os.write(acks, f"! {clock.monotonic_s()} {command.decode()} {error!r}\n".encode())
                await asyncio.sleep(0.05)
            else:
                os.write(acks, f"{place} {clock.monotonic_s()} {command.decode()}\n".encode())

    async def obey() -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            if line == b"quiet\n":
                for task in tasks:
                    task.cancel()
                await asyncio.sleep(0.5)
                await node.read_index()
                (directory / f"ledger-{name}").write_bytes(b"\n".join(ledger.commands))
                print("quiet", flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(node.run())
        while not node.last_index:
            await asyncio.sleep(0.01)
        tasks = [group.create_task(write(writer)) for writer in range(writers)]
        group.create_task(obey())


if __name__ == "__main__":
    log.configure("info")
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
