"""The gRPC provider against a stock etcd: several endpoints, some of them dead; an etcd that dies and returns."""

import asyncio
import contextlib
import random
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from minik8s.api.request import Request
from minik8s.control.apiserver.core import Core, CoreConfig, is_progress_sound
from minik8s.control.apiserver.storage import EtcdConfig, EtcdStore, StoreError, parse_endpoints
from minik8s.kit.clock import SystemClock
from minik8s.wire.etcd import rpc_pb2 as rpc

from .harness import ADMIN, local_core, local_store, running, scenario

PUT = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=b"k", value=b"v"))])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Etcd:
    """One stock etcd, over plain TCP."""

    def __init__(self, directory: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        url, peer = f"http://{self.address}", f"http://127.0.0.1:{free_port()}"
        self._line = ["etcd", "--data-dir", str(directory), "--listen-client-urls", url, "--advertise-client-urls", url]
        self._line += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        self._line += ["--initial-cluster", f"default={peer}", "--unsafe-no-fsync"]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def etcd(tmp_path: Path):
    if shutil.which("etcd") is None:
        pytest.skip("needs etcd (Debian: etcd-server)")
    made = Etcd(tmp_path / "etcd")
    yield made
    made.kill()


@contextlib.asynccontextmanager
async def store_at(*endpoints: str, **times: float) -> AsyncIterator[EtcdStore]:
    store = EtcdStore(EtcdConfig(endpoints, **times))
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.slow
@scenario
async def test_a_dead_endpoint_is_passed_over_by_reads_and_writes(etcd):
    dead = f"127.0.0.1:{free_port()}"
    async with store_at(dead, etcd.address) as reader:
        assert (await reader.status()).version
    async with store_at(etcd.address) as store:
        await store.status()
    async with store_at(dead, etcd.address) as writer:
        assert (await writer.txn(PUT)).succeeded


@pytest.mark.slow
@scenario
async def test_an_etcd_that_dies_fails_reads_in_time_and_serves_again_when_it_is_back(etcd):
    async with store_at(etcd.address) as patient:
        await patient.status()
    async with store_at(etcd.address, request_timeout_s=1.0) as store:
        await store.lease_grant(rpc.LeaseGrantRequest(TTL=60))
        etcd.kill()
        with pytest.raises(StoreError) as caught:
            await store.range(rpc.RangeRequest(key=b"k"))
        assert caught.value.code == "UNAVAILABLE"
        with pytest.raises(StoreError):
            await store.txn(PUT)
        etcd.start()
        async with store_at(etcd.address) as patient:
            assert (await patient.status()).version
            assert (await patient.txn(PUT)).succeeded


@pytest.mark.slow
@scenario
async def test_the_api_goes_on_after_its_etcd_was_away(etcd):
    async with store_at(etcd.address) as store, local_core(store=store) as core:
        handler = core.api.as_user(ADMIN)
        stream = await handler.watch(Request("watch", "", "v1", "configmaps", query={"resourceVersion": _now(core)}))
        create = Request("create", "", "v1", "configmaps", "default", body=b'{"metadata":{"generateName":"a-"}}')
        first = await handler.call(create)
        etcd.kill()
        etcd.start()
        await handler.call(Request("list", "", "v1", "configmaps"))  # Reads wait for the store to be back.
        second = await handler.call(create)
        seen = []
        async for event in stream:
            seen.append(event.revision)
            if len(seen) == 2:
                break
        assert seen == [first.revision, second.revision]


def _now(core) -> str:
    return str(core.cache.revision)


@pytest.mark.slow
@scenario
async def test_an_api_that_starts_before_its_store_is_ready_soon_after_it(etcd):
    loop = asyncio.get_running_loop()
    etcd.kill()
    asyncio.get_running_loop().call_later(0.5, etcd.start)
    async with store_at(etcd.address) as store, local_core(store=store) as core:
        async with store_at(etcd.address) as other:
            await other.status()
        started_s = loop.time()
        await core.api.as_user(ADMIN).call(Request("list", "", "v1", "namespaces"))
        assert loop.time() - started_s < 1


@pytest.mark.slow
@scenario
async def test_grpc_says_in_these_words_that_a_call_never_left():
    """`storage` sends a write to the next endpoint only after exactly this."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/x/Y")(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details().startswith("failed to connect to all addresses")


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (["http://127.0.0.1:2379"], (("127.0.0.1:2379",), False)),
        (["https://a:1/", "https://b:2"], (("a:1", "b:2"), True)),
    ],
)
def test_endpoints_are_etcds_urls(urls, expected):
    assert parse_endpoints(urls) == expected


@pytest.mark.parametrize("urls", [[], ["127.0.0.1:2379"], ["http://a:1", "https://b:2"]])
def test_endpoints_that_make_no_sense_are_refused(urls):
    with pytest.raises(ValueError, match="store endpoint"):
        parse_endpoints(urls)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.4.23", False), ("3.4.25", True), ("3.5.7", False), ("3.5.8", True), ("3.6.4", True), ("unknown", False)],
)
def test_early_etcds_announce_progress_too_soon(version, expected):
    assert is_progress_sound(version) is expected


@scenario
async def test_progress_is_believed_only_once_the_store_has_said_which_version_it_is():
    async with local_store() as store:
        core = Core(CoreConfig(), store, clock=SystemClock(), rng=random.Random(1))
        assert not core.cache.is_progress_sound
        async with running(core.run()):
            async with asyncio.timeout(5):
                while not core.cache.is_progress_sound:
                    await asyncio.sleep(0.001)
