"""The in-process store answers as etcd does: headers, limits, errors, many clients at once."""

import asyncio
import random

import pytest

from minik8s.kit.clock import SystemClock
from minik8s.store.consensus import Immediate
from minik8s.store.errors import (
    EMPTY_KEY,
    MALFORMED,
    NO_LEADER,
    REQUEST_TIMED_OUT,
    REQUEST_TOO_LARGE,
    STOPPED,
    TOO_MANY_REQUESTS,
    EtcdError,
)
from minik8s.store.local import LocalStore
from minik8s.store.machine import Machine
from minik8s.store.maintenance import Maintenance
from minik8s.store.raft import errors as raft
from minik8s.store.service import Service, ServiceConfig
from minik8s.wire.etcd import rpc_pb2 as rpc


def local_store() -> LocalStore:
    return LocalStore(clock=SystemClock(), rng=random.Random(1))


class Failing(Immediate):
    """Consensus that fails as told."""

    error: Exception = raft.ProposalTimeout()

    async def propose(self, command):
        raise self.error

    async def read_index(self):
        raise self.error


def failing_service(error: Exception) -> Service:
    machine = Machine()
    consensus = Failing(machine)
    consensus.error = error
    return Service(ServiceConfig(1, 1), machine, consensus, clock=SystemClock(), rng=random.Random(1))


def test_headers_say_who_answered_and_the_revision():
    async def main() -> None:
        store = local_store()
        put = await store.put(rpc.PutRequest(key=b"a"))
        assert (put.header.cluster_id, put.header.member_id, put.header.revision, put.header.raft_term) == (1, 1, 2, 1)
        await store.put(rpc.PutRequest(key=b"a"))
        old = await store.range(rpc.RangeRequest(key=b"a", revision=2))
        assert old.header.revision == 3, "the store's revision, not the one that was read"
        failed = await store.txn(
            rpc.TxnRequest(compare=[rpc.Compare(key=b"a", target=rpc.Compare.MOD, mod_revision=2)])
        )
        assert (failed.succeeded, failed.header.revision) == (False, 3)

    asyncio.run(main())


def test_of_concurrent_creations_of_one_key_one_succeeds():
    async def main() -> None:
        store = local_store()
        absent = rpc.Compare(key=b"a", target=rpc.Compare.MOD, mod_revision=0)

        async def create(number: int) -> bool:
            put = rpc.RequestOp(request_put=rpc.PutRequest(key=b"a", value=str(number).encode()))
            return (await store.txn(rpc.TxnRequest(compare=[absent], success=[put]))).succeeded

        assert sum(await asyncio.gather(*map(create, range(50)))) == 1

    asyncio.run(main())


def test_pages_at_one_revision_are_a_snapshot():
    async def main() -> None:
        store = local_store()
        keys = [f"k{number:03}".encode() for number in range(100)]
        for key in keys:
            await store.put(rpc.PutRequest(key=key))
        seen: list[bytes] = []
        start, revision = b"k", 0
        while True:
            page = await store.range(rpc.RangeRequest(key=start, range_end=b"l", limit=30, revision=revision))
            revision = revision or page.header.revision
            seen += [kv.key for kv in page.kvs]
            await store.delete_range(rpc.DeleteRangeRequest(key=seen[0]))
            await store.put(rpc.PutRequest(key=b"k999"))
            if not page.more:
                break
            assert page.count == 100 - len(seen) + len(page.kvs)
            start = seen[-1] + b"\0"
        assert seen == keys

    asyncio.run(main())


def test_count_ignores_limit_and_filters():
    async def main() -> None:
        store = local_store()
        for number in range(5):
            await store.put(rpc.PutRequest(key=str(number).encode()))
        everything = {"key": b"\0", "range_end": b"\0"}
        answer = await store.range(rpc.RangeRequest(**everything, limit=2, min_mod_revision=4))
        assert ([kv.key for kv in answer.kvs], answer.more, answer.count) == ([b"2", b"3"], True, 5)
        answer = await store.range(rpc.RangeRequest(**everything, count_only=True, limit=2))
        assert (len(answer.kvs), answer.more, answer.count) == (0, False, 5)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("target", "order", "expected"),
    [
        (rpc.RangeRequest.MOD, rpc.RangeRequest.DESCEND, "acb"),
        (rpc.RangeRequest.MOD, rpc.RangeRequest.NONE, "bca"),
        (rpc.RangeRequest.VERSION, rpc.RangeRequest.DESCEND, "abc"),
        (rpc.RangeRequest.VALUE, rpc.RangeRequest.ASCEND, "cba"),
        (rpc.RangeRequest.CREATE, rpc.RangeRequest.ASCEND, "abc"),
        (rpc.RangeRequest.KEY, rpc.RangeRequest.DESCEND, "cba"),
    ],
)
def test_answers_are_sorted_before_they_are_cut(target, order, expected):
    async def main() -> None:
        store = local_store()
        for key, value in [("a", "9"), ("b", "5"), ("c", "1"), ("a", "7")]:
            await store.put(rpc.PutRequest(key=key.encode(), value=value.encode()))
        for limit in (0, 2):
            request = rpc.RangeRequest(key=b"a", range_end=b"z", sort_target=target, sort_order=order, limit=limit)
            answer = await store.range(request)
            assert "".join(kv.key.decode() for kv in answer.kvs) == expected[: limit or None]
            assert answer.more is (limit == 2)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (raft.ProposalTimeout(), REQUEST_TIMED_OUT),
        (raft.ReadTimeout(), REQUEST_TIMED_OUT),
        (raft.NoLeader(), NO_LEADER),
        (raft.NotStarted(), STOPPED),
        (raft.TooManyProposals(), TOO_MANY_REQUESTS),
        (raft.CommandTooLarge(), REQUEST_TOO_LARGE),
    ],
)
def test_what_consensus_raises_reaches_the_client_as_etcds_error(error, fault):
    async def main() -> None:
        service = failing_service(error)
        for call in (
            service.put(rpc.PutRequest(key=b"a").SerializeToString()),
            service.range(rpc.RangeRequest(key=b"a").SerializeToString()),
        ):
            with pytest.raises(EtcdError) as caught:
                await call
            assert caught.value.fault == fault
        assert service.pending == 0
        await service.range(rpc.RangeRequest(key=b"a", serializable=True).SerializeToString())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (b"\xff\xff", MALFORMED),
        (b"", EMPTY_KEY),
        (rpc.PutRequest(key=b"a", value=b"x" * (3 << 19)).SerializeToString(), REQUEST_TOO_LARGE),
    ],
)
def test_a_bad_request_is_refused_before_it_is_proposed(request_, fault):
    async def main() -> None:
        with pytest.raises(EtcdError) as caught:
            await failing_service(AssertionError()).put(request_)
        assert caught.value.fault == fault

    asyncio.run(main())


def test_a_member_without_a_leader_says_so():
    async def main() -> None:
        service = failing_service(raft.NoLeader())
        service.consensus.leader, service.consensus.is_leader = None, False
        status = await Maintenance(service).status(rpc.StatusRequest())
        assert (status.leader, list(status.errors)) == (0, ["etcdserver: no leader"])
        with pytest.raises(EtcdError):
            service.require_leader()

    asyncio.run(main())


def test_a_local_watch_ends_when_closed_and_survives_a_cancelled_wait():
    async def main() -> None:
        store = local_store()
        watch = store.watch(rpc.WatchCreateRequest(key=b"a"))
        assert (await anext(watch)).created
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.01)
        await store.put(rpc.PutRequest(key=b"a"))
        assert (await anext(watch)).events[0].kv.key == b"a"
        await watch.request_progress()
        assert (await anext(watch)).watch_id == -1
        await watch.close()
        assert [message async for message in watch] == []

    asyncio.run(main())
