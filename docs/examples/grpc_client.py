"""A bare client of the API server's gRPC face: gRPC, the generated messages, nothing else of minik8s.

Creates a ConfigMap, watches it, patches it, deletes it, and prints what the watch says.

python docs/examples/grpc_client.py 127.0.0.1:6444 ca.crt admin.crt admin.key
"""

import json
import queue
import sys
from pathlib import Path
from typing import Any

import grpc

from minik8s.wire.minik8s import api_pb2 as wire

CONFIGMAPS = {"group": "", "version": "v1", "resource": "configmaps", "namespace": "default"}


def connect(address: str, authority: str, certificate: str, key: str) -> grpc.Channel:
    """A TLS channel. The certificate's CN is the user, as over REST."""
    ca, cert, private = (Path(file).read_bytes() for file in (authority, certificate, key))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, private, cert))


def call(channel: grpc.Channel, method: str, **fields: Any) -> wire.Response:
    """One unary call. Every method takes the same Request; bodies are the JSON documents of REST."""
    unary = channel.unary_unary(
        f"/minik8s.v1.Kubernetes/{method}", wire.Request.SerializeToString, wire.Response.FromString
    )
    return unary(wire.Request(**fields), timeout=10)


class Watch:
    """A watch. Its stream of requests stays open: each further message asks for a bookmark at once."""

    def __init__(self, channel: grpc.Channel, **fields: Any) -> None:
        self._requests: queue.SimpleQueue[wire.WatchRequest | None] = queue.SimpleQueue()
        self._requests.put(wire.WatchRequest(open=wire.Request(**fields)))
        stream = channel.stream_stream(
            "/minik8s.v1.Kubernetes/Watch", wire.WatchRequest.SerializeToString, wire.WatchEvent.FromString
        )
        self.events = stream(iter(self._requests.get, None), timeout=10)

    def ask_for_progress(self) -> None:
        """The answer is a BOOKMARK: nothing else happened up to its revision."""
        self._requests.put(wire.WatchRequest(progress=wire.Progress()))

    def close(self) -> None:
        """End it."""
        self._requests.put(None)


def main(address: str, *files: str) -> None:
    """The tour."""
    with connect(address, *files) as channel:
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "greeting"}, "data": {"say": "hello"}}
        made = call(channel, "Create", body=json.dumps(document).encode(), **CONFIGMAPS)
        print("created", json.loads(made.body)["data"], "code", made.code)

        # From the revision before the object's own, so that the watch begins with its creation.
        query = {"resourceVersion": str(made.revision - 1), "fieldSelector": "metadata.name=greeting"}
        watch = Watch(channel, query=query, **CONFIGMAPS)
        patch = json.dumps({"data": {"say": "goodbye"}}).encode()
        call(channel, "Patch", name="greeting", body=patch, content_type="application/merge-patch+json", **CONFIGMAPS)

        try:
            call(channel, "Create", body=json.dumps(document).encode(), **CONFIGMAPS)
        except grpc.RpcError as error:
            # The Kubernetes Status, whole, is in the trailing metadata.
            status = json.loads(dict(error.trailing_metadata())["minik8s-status-bin"])
            print("refused", error.code().name, status["reason"], status["message"])

        call(channel, "Delete", name="greeting", **CONFIGMAPS)
        for event in watch.events:
            print(event.type, json.loads(event.object).get("data"))
            if event.type == "DELETED":
                watch.ask_for_progress()
            if event.type == "BOOKMARK" and event.revision > made.revision + 1:
                break
        watch.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
