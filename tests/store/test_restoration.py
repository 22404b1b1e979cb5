"""A backup becomes the data of a member."""

import asyncio
import io
import shutil
import sys
from asyncio.subprocess import DEVNULL

import grpc
import pytest

from minik8s.store import backup, commands, restoration
from minik8s.store.machine import Machine
from minik8s.store.raft.snapshots import Snapshots
from minik8s.wire.etcd import rpc_pb2 as rpc
from store.replicas import Replicas


def test_a_member_starts_from_what_was_restored(tmp_path):
    machine = Machine()
    for number in range(30):
        machine.apply(commands.PUT + rpc.PutRequest(key=b"%d" % number, value=b"x").SerializeToString())
    read = backup.read(io.BytesIO(b"".join(backup.pieces(machine))))
    restoration.write(read, tmp_path / "s1")
    snapshots = Snapshots(tmp_path / "s1" / "snap")
    header = snapshots.open()
    assert header is not None
    assert header.configuration is None
    started = Machine()
    started.restore(snapshots.chunks())
    assert list(started.snapshot()) == list(machine.snapshot())


def test_data_is_not_overwritten(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError):
        restoration.write(Machine(), tmp_path)


@pytest.mark.slow
def test_a_cluster_is_restored_from_a_backup_and_a_member_that_lost_its_data_gets_it_again(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            await replicas.call("s0", "Lease/LeaseGrant", rpc.LeaseGrantRequest(ID=7, TTL=5), rpc.LeaseGrantResponse)
            for number in range(200):
                put = rpc.PutRequest(key=b"%d" % number, value=b"x" * 500, lease=7 if number == 0 else 0)
                await replicas.call("s0", "KV/Put", put, rpc.PutResponse)
            identity = replicas.client_identity
            flags = ["--cacert", identity.ca_file, "--cert", identity.cert_file, "--key", identity.key_file]
            file = tmp_path / "backup"
            await snapshot("save", file, "--endpoints", replicas.address["s1"], *flags)
            for name in replicas.names:
                await replicas.end(name)
                shutil.rmtree(tmp_path / name)
                await snapshot("restore", file, "--data-dir", tmp_path / name)
            for name in replicas.names:
                await replicas.start(name)
            await replicas.settled()
            leader = await replicas.leader()
            lost = next(name for name in replicas.names if name != leader)
            await replicas.end(lost)
            shutil.rmtree(tmp_path / lost)
            await replicas.start(lost)
            await replicas.call(leader, "KV/Put", rpc.PutRequest(key=b"new"), rpc.PutResponse)
            async with asyncio.timeout(15):
                # The lease is a new leader's to end, with its key.
                while {await count(replicas, name, b"0") for name in replicas.names} != {0}:
                    await asyncio.sleep(0.1)
                while {await count(replicas, name, b"new") for name in replicas.names} != {1}:
                    await asyncio.sleep(0.1)
            hashes = [
                await replicas.call(name, "Maintenance/HashKV", rpc.HashKVRequest(), rpc.HashKVResponse)
                for name in replicas.names
            ]
            assert len({(answer.hash, answer.header.revision) for answer in hashes}) == 1

    asyncio.run(main())


async def snapshot(*arguments: object) -> None:
    """`minik8s store snapshot ARGUMENTS`."""
    code = "from minik8s.cli.main import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "store", "snapshot", *map(str, arguments), stdout=DEVNULL
    )
    assert await process.wait() == 0


async def count(replicas: Replicas, name: str, key: bytes) -> int:
    """Whether a member has a key, as far as it knows by itself; -1 while it does not serve."""
    request = rpc.RangeRequest(key=key, count_only=True, serializable=True)
    try:
        return (await replicas.call(name, "KV/Range", request, rpc.RangeResponse, 2)).count
    except grpc.aio.AioRpcError:
        return -1
