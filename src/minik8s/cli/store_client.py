"""What `minik8s store snapshot` and `member` need of a running store: etcdctl's flags, and calls to its members."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from minik8s.kit.tls import Identity

_FILE = click.Path(path_type=Path, dir_okay=False)
_FLAGS = (
    click.option("--endpoints", default="127.0.0.1:2379", show_default=True, metavar="HOST:PORT,…", help="Members."),
    click.option("--cacert", type=_FILE, help="Authority that signed the members' certificates."),
    click.option("--cert", type=_FILE, help="Certificate to show."),
    click.option("--key", type=_FILE, help="Its key."),
)


class StoreClient:
    """Asks one member after the other until one answers."""

    def __init__(self, endpoints: str, identity: Identity | None) -> None:
        self._endpoints = [endpoint.strip().rpartition("//")[2] for endpoint in endpoints.split(",")]
        self._identity = identity

    def call(self, method: str, request: Any, kind: Any, *, timeout_s: float = 10.0) -> Any:
        """The answer of the first member that can be reached. Raises click.ClickException with its error."""
        import grpc

        reasons = []
        for endpoint in self._endpoints:
            with self._channel(endpoint) as channel:
                unary = channel.unary_unary(f"/etcdserverpb.{method}", _encoded, kind.FromString)
                try:
                    return unary(request, timeout=timeout_s)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise click.ClickException(error.details()) from error
                    reasons.append(f"{endpoint}: {error.details()}")
        raise click.ClickException("; ".join(reasons))

    def stream(self, method: str, request: Any, kind: Any) -> Iterator[Any]:
        """The answers of the first endpoint alone: another member cannot carry a stream on."""
        import grpc

        endpoint = self._endpoints[0]
        with self._channel(endpoint) as channel:
            stream = channel.unary_stream(f"/etcdserverpb.{method}", _encoded, kind.FromString)
            try:
                yield from stream(request)
            except grpc.RpcError as error:
                raise click.ClickException(f"{endpoint}: {error.details()}") from error

    def _channel(self, endpoint: str) -> Any:
        from minik8s.cli import members

        return members.channel(f"https://{endpoint}", self._identity)


def store_client(function: Callable[..., None]) -> Callable[..., None]:
    """Add etcdctl's flags to a command, which gets the `client` made of them."""

    def command(endpoints: str, cacert: Path | None, cert: Path | None, key: Path | None, **arguments: Any) -> None:
        # gRPC's own log lines have no reader here. Read when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        files = (cert, key, cacert)
        if any(files) and not all(files):
            raise click.UsageError("--cacert, --cert and --key go together")
        identity = Identity(cert, key, cacert) if cert and key and cacert else None
        function(client=StoreClient(endpoints, identity), **arguments)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def _encoded(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
