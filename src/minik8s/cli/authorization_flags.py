"""kube-apiserver's flags about who may do what, and the configuration made of the answers."""

import base64
import binascii
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from minik8s.cli.client_flags import DURATION
from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authz import modes

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option(
        "--authorization-mode",
        default=",".join(modes.DEFAULT_MODES),
        show_default=True,
        metavar="MODE,…",
        help=f"Who is asked whether a request may, in order: {', '.join(modes.MODES)}.",
    ),
    click.option(
        "--authorization-webhook-config-file", type=_FILE, help="Kubeconfig of the webhook that mode Webhook asks."
    ),
    click.option(
        "--authorization-webhook-version",
        type=click.Choice(["v1"]),
        default="v1",
        show_default=True,
        help="Version of the SubjectAccessReview.",
    ),
    click.option("--authorization-webhook-cache-authorized-ttl", type=DURATION, default="5m", show_default=True),
    click.option("--authorization-webhook-cache-unauthorized-ttl", type=DURATION, default="30s", show_default=True),
)


def authorization_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags to a command, which takes them as keyword arguments and hands them to `authorization`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def authorization(flags: dict[str, Any]) -> tuple[tuple[str, ...], WebhookConfig | None]:
    """(modes, the webhook if one is asked). Raises UsageError."""
    try:
        asked = modes.parse(flags["authorization_mode"])
    except ValueError as error:
        raise click.UsageError(f"--authorization-mode: {error}") from None
    path = flags["authorization_webhook_config_file"]
    if ("Webhook" in asked) != (path is not None):
        raise click.UsageError("--authorization-mode Webhook and --authorization-webhook-config-file come together")
    if path is None:
        return asked, None
    try:
        webhook = parse_webhook(
            _load(path),
            path.parent,
            allowed_ttl_s=flags["authorization_webhook_cache_authorized_ttl"],
            denied_ttl_s=flags["authorization_webhook_cache_unauthorized_ttl"],
        )
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise click.UsageError(f"--authorization-webhook-config-file: {error}") from None
    return asked, webhook


def parse_webhook(config: Any, directory: Path, *, allowed_ttl_s: float, denied_ttl_s: float) -> WebhookConfig:
    """The webhook a kubeconfig leads to. Raises ValueError, TypeError, KeyError, OSError, with what is wrong."""
    if not isinstance(config, dict):
        raise ValueError("it is no kubeconfig")
    context = _named(config, "contexts", config.get("current-context", ""))["context"]
    cluster = _named(config, "clusters", context["cluster"])["cluster"]
    user = _named(config, "users", context["user"])["user"] if context.get("user") else {}
    return WebhookConfig(
        cluster["server"],
        _tls(cluster, user, directory) if cluster["server"].startswith("https:") else None,
        token=user.get("token") or "",
        allowed_ttl_s=allowed_ttl_s,
        denied_ttl_s=denied_ttl_s,
    )


def _named(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for each in config.get(kind) or ():
        if each.get("name") == name:
            return dict(each)
    raise ValueError(f'{kind} has no "{name}"')


def _tls(cluster: dict[str, Any], user: dict[str, Any], directory: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", directory)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("insecure-skip-tls-verify is not supported")
    certificate, key = (_pem(user, name, directory) for name in ("client-certificate", "client-key"))
    if certificate and key:
        # Python's ssl reads these from files only.
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _pem(entry: dict[str, Any], name: str, directory: Path) -> bytes:
    """What NAME-data holds, or the file that NAME names."""
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"{name}-data: {error}") from None
    return (directory / entry[name]).read_bytes() if entry.get(name) else b""


def _load(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"cannot read {path}: {error}") from error
