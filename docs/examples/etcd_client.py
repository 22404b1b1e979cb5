"""A bare etcd client: gRPC, the generated messages, nothing else. It works with `minik8s store` and with a real etcd.

python docs/examples/etcd_client.py 127.0.0.1:2379
python docs/examples/etcd_client.py 127.0.0.1:2379 ca.crt client.crt client.key
"""

import queue
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc

from minik8s.wire.etcd import rpc_pb2 as rpc


def connect(address: str, files: list[str]) -> grpc.Channel:
    """A channel; with the files of an authority, a certificate and its key it is a TLS one."""
    if not files:
        return grpc.insecure_channel(address)
    authority, certificate, key = (Path(file).read_bytes() for file in files)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate))


def call(channel, method, request, response_type):
    """One answer to one request, for instance to `KV/Range`."""
    unary = channel.unary_unary(f"/etcdserverpb.{method}", type(request).SerializeToString, response_type.FromString)
    return unary(request, timeout=10, wait_for_ready=True)


def watch(channel, key: bytes, start_revision: int) -> Iterator[rpc.WatchResponse]:
    """Everything that happens to `key` from a revision on, past and to come."""
    # The queue is never closed: the stream lasts as long as its requests may still come.
    requests: queue.SimpleQueue[rpc.WatchRequest] = queue.SimpleQueue()
    create = rpc.WatchCreateRequest(key=key, start_revision=start_revision, prev_kv=True)
    requests.put(rpc.WatchRequest(create_request=create))
    stream = channel.stream_stream(
        "/etcdserverpb.Watch/Watch", rpc.WatchRequest.SerializeToString, rpc.WatchResponse.FromString
    )
    return stream(iter(requests.get, None), timeout=10)


def main() -> None:
    channel = connect(sys.argv[1], sys.argv[2:])
    key = b"example/greeting"

    first = call(channel, "KV/Put", rpc.PutRequest(key=key, value=b"hello"), rpc.PutResponse)
    print("put:", first.header.revision > 0)

    found = call(channel, "KV/Range", rpc.RangeRequest(key=key), rpc.RangeResponse).kvs[0]
    print("get:", found.value.decode())

    # Compare and set: only if nobody has written the key since we read it.
    unchanged = rpc.Compare(key=key, target=rpc.Compare.MOD, mod_revision=found.mod_revision)
    change = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"goodbye"))
    transaction = rpc.TxnRequest(compare=[unchanged], success=[change])
    for attempt in ("first", "second"):
        answer = call(channel, "KV/Txn", transaction, rpc.TxnResponse)
        print(f"{attempt} compare-and-set:", "done" if answer.succeeded else "refused")

    call(channel, "KV/DeleteRange", rpc.DeleteRangeRequest(key=key), rpc.DeleteRangeResponse)
    events = []
    stream = watch(channel, key, first.header.revision)
    while len(events) < 3:
        events += next(stream).events
    for event in events:
        print("watched:", f"deleted {event.prev_kv.value.decode()}" if event.type else f"put {event.kv.value.decode()}")


if __name__ == "__main__":
    main()
