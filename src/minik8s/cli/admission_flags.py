"""Flags of `minik8s apiserver` about admission. kube-apiserver's names, but for --allow-loopback-endpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from minik8s.control.apiserver.admission import configuration, selection
from minik8s.control.apiserver.admission.selection import AdmissionConfig

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option("--enable-admission-plugins", default="", metavar="NAME,…", help="Besides those on by default."),
    click.option("--disable-admission-plugins", default="", metavar="NAME,…", help="Of those on by default."),
    click.option("--admission-control-config-file", type=_FILE, help="An AdmissionConfiguration (PodSecurity)."),
    click.option(
        "--allow-loopback-endpoints",
        is_flag=True,
        help="Let EndpointSlices hold addresses of 127.0.0.0/8, where pods of the process engine live.",
    ),
)


def admission_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags to a command, which takes them as keyword arguments and hands them to `admission`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def admission(flags: dict[str, Any]) -> AdmissionConfig:
    """What the flags mean. Raises UsageError."""
    enabled, disabled = (
        tuple(name for name in flags[f"{which}_admission_plugins"].split(",") if name)
        for which in ("enable", "disable")
    )
    try:
        selection.check(enabled, disabled)
    except ValueError as error:
        raise click.UsageError(f"--{error}") from None
    more = {}
    if path := flags["admission_control_config_file"]:
        try:
            more["pod_security"] = configuration.parse(_load(path), lambda name: _load(path.parent / name))
        except ValueError as error:
            raise click.UsageError(f"--admission-control-config-file: {error}") from None
    return AdmissionConfig(enabled, disabled, allow_loopback_endpoints=flags["allow_loopback_endpoints"], **more)


def _load(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
