"""What the store's members say of themselves: etcd's Status call to each, for `status` and scripts/kill-leader."""

import grpc
import msgspec

from minik8s.kit.tls import Identity
from minik8s.wire.etcd import rpc_pb2


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member's answer; `error` says why there is none."""

    name: str
    url: str
    id: int = 0
    leader: int = 0
    term: int = 0
    revision: int = 0
    index: int = 0
    version: str = ""
    error: str = ""

    @property
    def is_leader(self) -> bool:
        return self.id != 0 and self.id == self.leader


def channel(url: str, identity: Identity | None) -> grpc.Channel:
    """A blocking gRPC channel to one member."""
    target = url.partition("://")[2]
    if identity is None:
        return grpc.insecure_channel(target)
    certificate, key, authority = identity.read()
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(authority, key, certificate))


def ask(url: str, identity: Identity | None, *, name: str = "", timeout_s: float = 2.0) -> Member:
    """One member's Status; `name` is what it is called in the answer."""
    with channel(url, identity) as opened:
        call = opened.unary_unary(
            "/etcdserverpb.Maintenance/Status",
            request_serializer=rpc_pb2.StatusRequest.SerializeToString,
            response_deserializer=rpc_pb2.StatusResponse.FromString,
        )
        try:
            answer = call(rpc_pb2.StatusRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            return Member(name=name, url=url, error=f"{error.code().name}: {error.details()}")
    return Member(
        name=name,
        url=url,
        id=answer.header.member_id,
        leader=answer.leader,
        term=answer.raftTerm,
        revision=answer.header.revision,
        index=answer.raftIndex,
        version=answer.version,
    )
