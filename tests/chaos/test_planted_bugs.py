"""The proof proves something: a store with a bug, under the load of scripts/chaos, is found out; one without is not."""

import asyncio
import random
from pathlib import Path

import pytest

from chaos.in_process import OneReplica
from chaos.recorder import Recorder
from chaos.store import Load
from minik8s.store.raft.disk import FileDisk
from minik8s.store.service import Service
from minik8s.store.verify import history as h
from minik8s.store.verify.report import Report, verify
from minik8s.store.watch_stream import WatchStream
from minik8s.wire.etcd import rpc_pb2

pytestmark = pytest.mark.slow

_OFTEN = 15
_RECORDS = 500
_ROUNDS_MAX = 12


def judge(directory: Path, replica: OneReplica, *, cuts_power: bool = False) -> Report:
    """The verdict on a replica after seconds of load, and some more with the power cut between."""
    file = directory / "history.jsonl"
    asyncio.run(record(file, replica, cuts_power))
    with file.open("rb") as lines:
        return verify(h.read(lines))


async def record(file: Path, replica: OneReplica, cuts_power: bool) -> None:
    with file.open("wb") as output:
        async with replica:
            load = Load(replica, Recorder(output), random.Random(1), clients=6, calls_per_s=600)
            for _ in range(_ROUNDS_MAX):
                await load.run(1.2, 0.4)
                output.flush()
                # A busy machine makes fewer calls a second, and a bug needs some to show.
                if file.read_bytes().count(b"\n") > _RECORDS:
                    break
            if cuts_power:
                await replica.cut_power()
                await load.run(0.8, 0.4)
            await load.end(3)


class StaleReads(Service):
    """Now and then an answer from before, as of a follower that does not ask the leader."""

    _old: dict[bytes, bytes]
    _count = 0

    async def range(self, request: bytes) -> bytes:
        self._old = getattr(self, "_old", {})
        answer = await super().range(request)
        self._count += 1
        old = self._old.setdefault(request, answer)
        if self._count % _OFTEN:
            return answer
        self._old[request] = answer
        return old


class LostWrites(Service):
    """Now and then a write is acknowledged and forgotten."""

    _count = 0

    async def put(self, request: bytes) -> bytes:
        self._count += 1
        if self._count % _OFTEN:
            return await super().put(request)
        return self._header(self.mvcc.revision + 1)


class Tampering(WatchStream):
    """Changes the messages with events, now and then."""

    _tamper: str
    _count = 0
    _held: bytes | None = None

    async def __anext__(self) -> bytes:
        if held := self._held:
            self._held = None
            return held
        message = await super().__anext__()
        self._count += _has_events(message)
        if self._count % _OFTEN or not _has_events(message):
            return message
        match self._tamper:
            case "skip":
                return await super().__anext__()
            case "repeat":
                self._held = message
                return message
            case "reorder":
                later = await super().__anext__()
                self._held = message
                return later
        raise AssertionError(self._tamper)


def _has_events(message: bytes) -> bool:
    return bool(rpc_pb2.WatchResponse.FromString(message).events)


def tampering(how: str):
    """A service whose watches do that."""

    class TamperingService(Service):
        def open_watch_stream(self) -> WatchStream:
            stream = super().open_watch_stream()
            stream.__class__ = Tampering
            stream._tamper = how
            return stream

    return TamperingService


class CarelessDisk(FileDisk):
    """Says that a group is durable when it is in memory; a power cut takes the newest groups."""

    def __init__(self, config) -> None:
        super().__init__(config)
        self._held: list[tuple] = []

    async def append(self, *group) -> None:
        self._held.append(group)
        if len(self._held) > 40:
            await super().append(*self._held.pop(0))


def test_a_store_without_a_bug_is_accepted(tmp_path):
    report = judge(tmp_path, OneReplica(tmp_path / "data"), cuts_power=True)
    assert report.is_good, report.violations
    assert report.acked > 100 and report.episodes >= 5


def test_a_stale_read_is_caught(tmp_path):
    report = judge(tmp_path, OneReplica(tmp_path / "data", service=StaleReads))
    assert report.is_linearizable is False


def test_a_lost_write_is_caught(tmp_path):
    report = judge(tmp_path, OneReplica(tmp_path / "data", service=LostWrites))
    assert report.is_linearizable is False and report.lost


@pytest.mark.parametrize("how, words", [("skip", "skipped"), ("repeat", "repeated"), ("reorder", "skipped")])
def test_a_watch_event_out_of_place_is_caught(tmp_path, how, words):
    report = judge(tmp_path, OneReplica(tmp_path / "data", service=tampering(how)))
    assert any(words in violation for violation in report.violations), report


def test_an_acknowledgement_before_fsync_is_caught(tmp_path):
    report = judge(tmp_path, OneReplica(tmp_path / "data", disk=CarelessDisk), cuts_power=True)
    assert report.lost or report.is_linearizable is False
