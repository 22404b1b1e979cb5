"""What every client of the apiserver's gRPC face asks on its command line, and the transport made of the answers."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minik8s.kit import tls

if TYPE_CHECKING:
    from minik8s.client.transport_grpc import GrpcTransport

_FILE = click.Path(path_type=Path, dir_okay=False)

_FLAGS = (
    click.option("--server", required=True, metavar="HOST:PORT[,…]", help="The API servers' gRPC addresses."),
    click.option("--certificate-authority", type=_FILE, help="Authority that signed the API servers' certificates."),
    click.option("--client-certificate", type=_FILE, help="Certificate to show; its CN is the user."),
    click.option("--client-key", type=_FILE, help="Its key."),
)


def client_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add --server, --certificate-authority, --client-certificate and --client-key to a command."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def connect(
    *, server: str, certificate_authority: Path | None, client_certificate: Path | None, client_key: Path | None
) -> "GrpcTransport":
    """A transport to the servers. Opens no connection. Raises click.UsageError, which names the flag that is wrong."""
    # gRPC's own log lines have no component and no reader; failures come back as errors. Read when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from minik8s.client.transport_grpc import GrpcTransport

    servers = [one.strip() for one in server.split(",") if one.strip()]
    for one in servers:
        host, _, port = one.rpartition(":")
        if not host or not port.isdigit():
            raise click.UsageError(f"--server: {one!r} is not HOST:PORT")
    if not servers:
        raise click.UsageError("--server: no address")
    return GrpcTransport(servers, _identity(certificate_authority, client_certificate, client_key))


def _identity(authority: Path | None, certificate: Path | None, key: Path | None) -> tls.Identity | None:
    files: dict[str, Any] = {
        "--certificate-authority": authority,
        "--client-certificate": certificate,
        "--client-key": key,
    }
    if not any(files.values()):
        return None
    for flag, path in files.items():
        if path is None:
            raise click.UsageError(f"{flag} is missing: TLS takes all of {', '.join(files)}")
    for flag, path in files.items():
        try:
            path.read_bytes()
        except OSError as error:
            raise click.UsageError(f"{flag}: cannot read {path}: {error.strerror}") from error
    assert authority and certificate and key
    return tls.Identity(certificate, key, authority)


class Duration(click.ParamType):
    """Seconds, written as Go writes durations: `500ms`, `15s`, `1m30s`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, int | float):
            return float(value)
        units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
        total, rest = 0.0, str(value)
        while rest:
            number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
            rest = rest[len(number) :]
            unit = next((one for one in units if rest.startswith(one)), "")
            if not number or not unit or number.count(".") > 1 or number == ".":
                self.fail(f"{value!r} is not a duration such as 500ms, 15s or 1m30s", param, ctx)
            total += float(number) * units[unit]
            rest = rest[len(unit) :]
        return total


DURATION = Duration()


def leader_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add upstream's --leader-elect flags to a command."""
    options = (
        click.option("--leader-elect", type=bool, default=True, show_default=True, help="Work only while leading."),
        click.option("--leader-elect-lease-duration", type=DURATION, default="15s", show_default=True),
        click.option("--leader-elect-renew-deadline", type=DURATION, default="10s", show_default=True),
        click.option("--leader-elect-retry-period", type=DURATION, default="2s", show_default=True),
    )
    for option in reversed(options):
        function = option(function)
    return function
