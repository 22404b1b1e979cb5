"""A client of the API server's gRPC face that knows no message beforehand: it asks the server, as grpcurl does.

Lists the services, learns their messages, says who it is with a bearer token, and counts the namespaces.

python docs/examples/grpc_reflection.py 127.0.0.1:6444 ca.crt TOKEN
"""

import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The protocol of reflection itself is gRPC's; `grpcio-reflection` on PyPI has the same messages.
from minik8s.wire.grpc import reflection_pb2 as reflection

SERVICE = "minik8s.v1.Kubernetes"


def connect(address: str, authority: str, token: str) -> grpc.Channel:
    """A TLS channel on which each call carries the token."""
    server = grpc.ssl_channel_credentials(Path(authority).read_bytes())
    return grpc.secure_channel(
        address, grpc.composite_channel_credentials(server, grpc.access_token_call_credentials(token))
    )


def ask(channel: grpc.Channel, **question: Any) -> Any:
    """One question about the server's messages."""
    stream = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection.ServerReflectionRequest.SerializeToString,
        reflection.ServerReflectionResponse.FromString,
    )
    return next(stream(iter([reflection.ServerReflectionRequest(**question)]), timeout=10))


def messages(channel: grpc.Channel) -> descriptor_pool.DescriptorPool:
    """What the server says of the service's messages."""
    pool = descriptor_pool.DescriptorPool()
    for encoded in ask(channel, file_containing_symbol=SERVICE).file_descriptor_response.file_descriptor_proto:
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(encoded))
    return pool


def main(address: str, authority: str, token: str) -> None:
    """The tour."""
    with connect(address, authority, token) as channel:
        for service in ask(channel, list_services="").list_services_response.service:
            print("service", service.name)
        service = messages(channel).FindServiceByName(SERVICE)
        print("methods", *(method.name for method in service.methods))

        method = service.methods_by_name["List"]
        request, response = (message_factory.GetMessageClass(each) for each in (method.input_type, method.output_type))
        list_ = channel.unary_unary(f"/{SERVICE}/List", request.SerializeToString, response.FromString)
        answer = list_(request(version="v1", resource="namespaces"), timeout=10)
        print("namespaces", len(json.loads(answer.body)["items"]) > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
