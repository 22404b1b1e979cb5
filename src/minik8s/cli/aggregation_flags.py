"""Flags of `minik8s apiserver` about API aggregation, with kube-apiserver's names."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from minik8s.kit.tls import Identity

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FLAGS = (
    click.option(
        "--proxy-client-cert-file", type=_FILE, help="Certificate by which servers of APIServices know a front proxy."
    ),
    click.option("--proxy-client-key-file", type=_FILE, help="Its key."),
)


def aggregation_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags to a command."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def front_proxy_identity(flags: dict[str, Any], client_ca_file: Path) -> Identity | None:
    """What the front proxy shows; takes its flags out of `flags`. Raises UsageError."""
    cert, key = flags.pop("proxy_client_cert_file"), flags.pop("proxy_client_key_file")
    if cert and key:
        return Identity(cert, key, client_ca_file)
    if cert or key:
        raise click.UsageError("--proxy-client-cert-file and --proxy-client-key-file come together")
    return None


def extension_authentication(flags: Mapping[str, Any], client_ca_file: Path) -> dict[str, str]:
    """What servers of APIServices must know of authentication, as the ConfigMap that tells them has it.

    Reads the flags of authentication, which stay where they are. Raises ClickException.
    """
    try:
        found = {"client-ca-file": client_ca_file.read_text()}
        authority: Path | None = flags["requestheader_client_ca_file"]
        if authority is None:
            return found
        found["requestheader-client-ca-file"] = authority.read_text()
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
    for name in ("allowed-names", "username-headers", "uid-headers", "group-headers", "extra-headers-prefix"):
        given = str(flags[f"requestheader_{name.replace('-', '_')}"])
        found[f"requestheader-{name}"] = json.dumps([each for each in given.split(",") if each])
    return found
