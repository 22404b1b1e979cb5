"""gRPC's server reflection over the messages of `wire`: what grpcurl and grpcui ask a server for. Pure."""

from collections.abc import Sequence

from google.protobuf.descriptor import FileDescriptor

from minik8s.wire.grpc import reflection_pb2
from minik8s.wire.pool import POOL

METHODS = tuple(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha"))
"""The names of the stream; the two versions of the protocol hold the same messages."""

_NOT_FOUND = 5  # gRPC's status codes, as numbers
_UNIMPLEMENTED = 12


class Reflection:
    """What a server tells of itself: the services in some of the generated files."""

    def __init__(self, files: Sequence[FileDescriptor]) -> None:
        files = (*files, reflection_pb2.DESCRIPTOR)
        self.services = tuple(sorted(each.full_name for file in files for each in file.services_by_name.values()))

    def answer(self, request: reflection_pb2.ServerReflectionRequest) -> reflection_pb2.ServerReflectionResponse:
        """What is not known is an answer, too."""
        response = reflection_pb2.ServerReflectionResponse(valid_host=request.host, original_request=request)
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in self.services:
                    response.list_services_response.service.add(name=name)
            case "file_by_filename":
                _add_file(response, POOL.FindFileByName, request.file_by_filename)
            case "file_containing_symbol":
                _add_file(response, POOL.FindFileContainingSymbol, request.file_containing_symbol)
            case _:
                response.error_response.error_code = _UNIMPLEMENTED
                response.error_response.error_message = "the messages have no extensions"
        return response


def _add_file(response, find, name: str) -> None:  # type: ignore[no-untyped-def]  # protobuf's pool is untyped
    try:
        file = find(name)
    except KeyError:
        response.error_response.error_code = _NOT_FOUND
        response.error_response.error_message = f"{name} not found"
        return
    found: dict[str, bytes] = {}
    _collect(file, found)
    response.file_descriptor_response.file_descriptor_proto.extend(reversed(found.values()))


def _collect(file: FileDescriptor, found: dict[str, bytes]) -> None:
    """The file after all that it imports, each once."""
    for dependency in file.dependencies:
        _collect(dependency, found)
    found[file.name] = file.serialized_pb
