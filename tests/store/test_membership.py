"""Members come and go by etcd's calls: real processes over TLS, under writes."""

import asyncio
import shutil
import signal
import ssl

import grpc
import pytest

from minik8s.kit import tls
from minik8s.kit.tls import Identity
from minik8s.wire.etcd import rpc_pb2 as rpc
from store.replicas import Replicas
from store.serving import serving

pytestmark = pytest.mark.slow


async def members(replicas: Replicas, at: str) -> list:
    """All of them, once each has said where it serves clients."""
    request = rpc.MemberListRequest(linearizable=True)
    async with asyncio.timeout(10):
        while True:
            found = (await replicas.call(at, "Cluster/MemberList", request, rpc.MemberListResponse)).members
            if all(member.clientURLs for member in found):
                return list(found)
            await asyncio.sleep(0.1)


async def add(replicas: Replicas, at: str, name: str, *, learner: bool = False) -> int:
    url = replicas.prepare(name).replace("://", f"://{name}@")
    request = rpc.MemberAddRequest(peerURLs=[url], isLearner=learner)
    response = await replicas.call(at, "Cluster/MemberAdd", request, rpc.MemberAddResponse)
    assert response.member.isLearner == learner
    return response.member.ID


async def put(replicas: Replicas, at: str, key: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await replicas.call(at, "KV/Put", rpc.PutRequest(key=key.encode()), rpc.PutResponse)
                return
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)


async def keys(replicas: Replicas, at: str) -> int:
    request = rpc.RangeRequest(key=b"\0", range_end=b"\0", count_only=True)
    return (await replicas.call(at, "KV/Range", request, rpc.RangeResponse)).count


def test_members_are_added_promoted_and_removed_and_the_data_stays(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            for number in range(50):
                await put(replicas, "s0", f"before/{number}")
            learner = await add(replicas, "s1", "s3", learner=True)
            await replicas.start("s3")
            await replicas.settled()
            promote = rpc.MemberPromoteRequest(ID=learner)
            async with asyncio.timeout(20):
                while True:
                    try:
                        await replicas.call("s0", "Cluster/MemberPromote", promote, rpc.MemberPromoteResponse)
                        break
                    except grpc.aio.AioRpcError as error:
                        assert "in sync with leader" in error.details(), error.details()
                        await asyncio.sleep(0.2)
            assert await keys(replicas, "s3") == 50
            found = await members(replicas, "s3")
            assert [member.name for member in found] == ["s0", "s1", "s2", "s3"]
            assert not any(member.isLearner for member in found)
            headers = {(await replicas.status(name)).header.cluster_id for name in replicas.names}
            assert len(headers) == 1

            leader = await replicas.leader()
            ids = {member.name: member.ID for member in found}
            other = next(name for name in replicas.names if name != leader)
            remove = rpc.MemberRemoveRequest(ID=ids[leader])
            await replicas.call(other, "Cluster/MemberRemove", remove, rpc.MemberRemoveResponse)
            replicas.names.remove(leader)
            await put(replicas, other, "after")
            await replicas.settled()
            for name in replicas.names:
                assert await keys(replicas, name) == 51
            assert leader not in [member.name for member in await members(replicas, other)]

    asyncio.run(main())


def test_a_member_whose_data_is_gone_does_not_vote_again_but_may_be_added_anew(tmp_path):
    """It could vote twice in one term, and a write that it acknowledged would be lost."""

    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            for number in range(20):
                await put(replicas, "s0", f"kept/{number}")
            leader = await replicas.leader()
            lost = next(name for name in replicas.names if name != leader)
            ids = {member.name: member.ID for member in await members(replicas, leader)}
            await replicas.end(lost)
            shutil.rmtree(tmp_path / lost)
            await replicas.start(lost)
            async with asyncio.timeout(20):
                while replicas.is_running(lost):
                    await asyncio.sleep(0.05)
            assert await replicas.end(lost) == 1
            assert "has been part of this cluster" in (tmp_path / f"{lost}.log").read_text()

            remove = rpc.MemberRemoveRequest(ID=ids[lost])
            await replicas.call(leader, "Cluster/MemberRemove", remove, rpc.MemberRemoveResponse)
            replicas.names.remove(lost)
            await put(replicas, leader, "without")
            shutil.rmtree(tmp_path / lost)
            await add(replicas, leader, lost)
            await replicas.start(lost)
            await replicas.settled()
            assert await keys(replicas, lost) == 21

    asyncio.run(main())


def test_a_leader_hands_over_when_asked_to_and_when_it_is_stopped(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            leader = await replicas.leader()
            target = next(name for name in replicas.names if name != leader)
            found = {member.name: member.ID for member in await members(replicas, leader)}
            move = rpc.MoveLeaderRequest(targetID=found[target])
            with pytest.raises(grpc.aio.AioRpcError, match="not leader"):
                await replicas.call(target, "Maintenance/MoveLeader", move, rpc.MoveLeaderResponse)
            await replicas.call(leader, "Maintenance/MoveLeader", move, rpc.MoveLeaderResponse)
            assert await replicas.leader() == target
            assert await replicas.end(target, signal.SIGTERM) == 0
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            await put(replicas, leader, "a")
            assert loop.time() - began_s < 2

    asyncio.run(main())


def test_certificates_for_clients_open_no_door_to_the_members_nor_the_other_way_round(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            client, (_, peer) = replicas.client_identity, replicas._identities["s1"]
            host, port = replicas.peer_address("s0")
            context = tls.client_context(Identity(client.cert_file, client.key_file, peer.ca_file))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="127.0.0.1")
                writer.write(b"x" * 64)
                await writer.drain()
                assert await reader.read(1) == b""
                raise ConnectionError("closed")
            certificate, key, _ = peer.read()
            credentials = grpc.ssl_channel_credentials(client.ca_file.read_bytes(), key, certificate)
            async with grpc.aio.secure_channel(replicas.address["s0"], credentials) as channel:
                with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                    await channel.unary_unary("/etcdserverpb.Maintenance/Status")(b"", timeout=5)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("MemberAdd", rpc.MemberAddRequest(peerURLs=["nonsense"]), "given member URLs are invalid"),
        ("MemberAdd", rpc.MemberAddRequest(), "given member URLs are invalid"),
        ("MemberAdd", rpc.MemberAddRequest(peerURLs=["http://127.0.0.1:9"]), "NAME@HOST:PORT"),
        ("MemberAdd", rpc.MemberAddRequest(peerURLs=["http://local@127.0.0.1:9"]), "Peer URLs already exists"),
        ("MemberRemove", rpc.MemberRemoveRequest(ID=9), "member not found"),
        ("MemberPromote", rpc.MemberPromoteRequest(ID=9), "member not found"),
        ("MemberPromote", rpc.MemberPromoteRequest(ID=0xA1), "can only promote a learner member"),
        ("MemberRemove", rpc.MemberRemoveRequest(ID=0xA1), "unhealthy cluster"),
        ("MemberUpdate", rpc.MemberUpdateRequest(ID=0xA1, peerURLs=["http://127.0.0.1:1"]), "peer URLs stay"),
    ],
)
def test_changes_that_cannot_be_are_refused(method, request_, expected):
    async def main() -> None:
        async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary(f"/etcdserverpb.Cluster/{method}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request_.SerializeToString(), timeout=5)
            assert expected in caught.value.details()

    asyncio.run(main())
