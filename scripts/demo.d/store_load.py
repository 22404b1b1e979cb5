"""Load on a store, and the proof of what it kept: run by the demo as a process of its own.

    python store_load.py DIRECTORY [--in-flight 210]

Writes through every member at once, each key once and never again, and watches the keys, reopening the watch after the
last revision seen whenever it breaks. When standard input closes it stops, then checks

- each acknowledged write against every member's own copy (serializable reads), key, value and revision;
- that no write that was refused for certain is there;
- the recorded watch against a replay of the store's history: equal means no gap, no repeat, no going back.

Prints one JSON object with the counts; exit code 1 if any check failed.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc
import grpc.aio

from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import load
from minik8s.kit.tls import Identity
from minik8s.wire.etcd import kv_pb2, rpc_pb2

PREFIX, PREFIX_END = b"/demo/", b"/demo0"
PAGE = 5000
# Says that the outcome is unknown, or that nothing happened; anything else is a definite refusal.
UNKNOWN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}

Event = tuple[int, str, bytes, bytes]  # revision, PUT or DELETE, key, value


@dataclass(slots=True)
class Result:
    """What happened; times in seconds since the start."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)  # key → revision
    unknown: int = 0
    refused: list[bytes] = field(default_factory=list)
    longest_gap_s: float = 0.0
    watch_reopened: int = 0


class Load:
    """Writers and a watcher over all members."""

    def __init__(self, urls: list[str], identity: Identity | None, in_flight: int) -> None:
        self._channels = [_channel(url, identity) for url in urls]
        self._in_flight = in_flight
        self._keys = count()
        self._last_ack_s = 0.0
        self.result = Result()
        self.seen: list[Event] = []
        self.first_revision = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Write and watch until `stop`, then let the watch reach the last acknowledged write."""
        self.first_revision = (await self._status(0)).header.revision + 1
        watcher = asyncio.ensure_future(self._watch())
        self._last_ack_s = time.monotonic()
        await asyncio.gather(*(self._write(i % len(self._channels), stop) for i in range(self._in_flight)))
        last = max(self.result.acknowledged.values(), default=0)
        async with asyncio.timeout(30):
            while not self.seen or self.seen[-1][0] < last:
                await asyncio.sleep(0.05)
        watcher.cancel()

    async def _write(self, member: int, stop: asyncio.Event) -> None:
        put = _unary(self._channels[member], "KV/Put", rpc_pb2.PutRequest, rpc_pb2.PutResponse)
        result = self.result
        while not stop.is_set():
            key = PREFIX + f"{member}/{next(self._keys):08}".encode()
            try:
                answer = await put(rpc_pb2.PutRequest(key=key, value=value_of(key)), timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() in UNKNOWN:
                    result.unknown += 1
                else:
                    result.refused.append(key)
                await asyncio.sleep(0.02)
                continue
            now_s = time.monotonic()
            result.longest_gap_s = max(result.longest_gap_s, now_s - self._last_ack_s)
            self._last_ack_s = now_s
            result.acknowledged[key] = answer.header.revision

    async def _watch(self) -> None:
        for attempt in count():
            after = self.seen[-1][0] if self.seen else self.first_revision - 1
            try:
                async for event in self._events(attempt % len(self._channels), after + 1):
                    self.seen.append(event)
            except grpc.aio.AioRpcError:
                self.result.watch_reopened += 1
                await asyncio.sleep(0.02)

    async def _events(self, member: int, revision: int):  # type: ignore[no-untyped-def]
        call = self._channels[member].stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc_pb2.WatchRequest.SerializeToString,
            response_deserializer=rpc_pb2.WatchResponse.FromString,
        )()
        create = rpc_pb2.WatchCreateRequest(key=PREFIX, range_end=PREFIX_END, start_revision=revision)
        await call.write(rpc_pb2.WatchRequest(create_request=create))
        async for response in call:
            for event in response.events:
                kind = "DELETE" if event.type == kv_pb2.Event.DELETE else "PUT"
                yield event.kv.mod_revision, kind, event.kv.key, event.kv.value
            if response.canceled:
                raise AssertionError(f"the watch was cancelled: {response.cancel_reason}")

    async def _status(self, member: int) -> rpc_pb2.StatusResponse:
        status = _unary(self._channels[member], "Maintenance/Status", rpc_pb2.StatusRequest, rpc_pb2.StatusResponse)
        return await status(rpc_pb2.StatusRequest(), timeout=10, wait_for_ready=True)

    async def check(self) -> dict[str, object]:
        """The proof, as counts; every count under `faults` must be 0."""
        last = max(self.result.acknowledged.values(), default=0)
        held = [await self._held(member, last) for member in range(len(self._channels))]
        acknowledged = self.result.acknowledged
        lost = [sum(copy.get(key) != (value_of(key), r) for key, r in acknowledged.items()) for copy in held]
        replayed = await self._replay(self.seen[-1][0] if self.seen else 0)
        return {
            "acknowledged": len(acknowledged),
            "unknown": self.result.unknown,
            "longest_gap_s": round(self.result.longest_gap_s, 3),
            "watched": len(self.seen),
            "watch_reopened": self.result.watch_reopened,
            "faults": {
                "lost": sum(lost),
                "refused yet there": sum(key in held[0] for key in self.result.refused),
                "members differ": sum(copy != held[0] for copy in held),
                "watch differs from history": int(self.seen != replayed),
            },
        }

    async def _held(self, member: int, revision: int) -> dict[bytes, tuple[bytes, int]]:
        """A member's own copy, once it has applied `revision`: key → (value, revision)."""
        async with asyncio.timeout(30):
            while (await self._status(member)).header.revision < revision:
                await asyncio.sleep(0.05)
        read = _unary(self._channels[member], "KV/Range", rpc_pb2.RangeRequest, rpc_pb2.RangeResponse)
        held: dict[bytes, tuple[bytes, int]] = {}
        start = PREFIX
        while True:
            request = rpc_pb2.RangeRequest(key=start, range_end=PREFIX_END, limit=PAGE, serializable=True)
            answer = await read(request, timeout=20, wait_for_ready=True)
            held |= {kv.key: (kv.value, kv.mod_revision) for kv in answer.kvs}
            if not answer.more:
                return held
            start = answer.kvs[-1].key + b"\0"

    async def _replay(self, last: int) -> list[Event]:
        """The store's history from the first revision to `last`, read in one go."""
        replayed: list[Event] = []
        if last:
            async with asyncio.timeout(60):
                async for event in self._events(len(self._channels) - 1, self.first_revision):
                    if event[0] > last:
                        break
                    replayed.append(event)
                    if len(replayed) >= len(self.seen) and event[0] >= last:
                        break
        return replayed


def value_of(key: bytes) -> bytes:
    """Every key has one value it may have."""
    return b"value of " + key + b" " * 64


def _channel(url: str, identity: Identity | None) -> grpc.aio.Channel:
    target = url.partition("://")[2]
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    options += [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_receive_message_length", 64 * 2**20)]
    if identity is None:
        return grpc.aio.insecure_channel(target, options)
    certificate, key, authority = identity.read()
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authority, key, certificate), options)


def _unary(channel: grpc.aio.Channel, method: str, request: type, response: type) -> grpc.aio.UnaryUnaryMultiCallable:
    return channel.unary_unary(
        f"/etcdserverpb.{method}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--in-flight", type=int, default=210)
    options = parser.parse_args()
    cluster = load(options.directory)
    assert cluster is not None, f"no cluster in {options.directory}"
    identity = Certificates(cluster, options.directory / "pki").store_client()
    work = Load(cluster.store_urls, identity, options.in_flight)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    await work.run(stop)
    found = await work.check()
    print(json.dumps(found))
    return int(any(found["faults"].values()))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
