"""Flags of `minik8s apiserver` for whoever operates it: limits, shutdown, audit, encryption. kube-apiserver's names."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from minik8s.cli.client_flags import DURATION
from minik8s.control.apiserver.calls import CallsConfig
from minik8s.control.apiserver.inflight import InFlightConfig

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option(
        "--grpc-token-port",
        type=int,
        help="Port of the gRPC face for who has a token, and no certificate.  [default: none]",
    ),
    click.option("--max-requests-inflight", default=400, show_default=True, help="Reads at a time, then 429; 0: any."),
    click.option("--max-mutating-requests-inflight", default=200, show_default=True, help="The same of writes."),
    click.option("--request-timeout", type=DURATION, default="1m", show_default=True, help="For what is no watch."),
    click.option(
        "--shutdown-delay-duration",
        type=DURATION,
        default="0s",
        show_default=True,
        help="From SIGTERM, when /readyz begins to fail, to taking no more connections.",
    ),
    click.option("--event-ttl", type=DURATION, default="1h", show_default=True, help="How long Events live."),
    click.option(
        "--etcd-compaction-interval",
        type=DURATION,
        default="5m",
        show_default=True,
        help="How often the store's history is cut, to what is younger; 0s: never.",
    ),
    click.option("--audit-policy-file", type=_FILE, help="What is audited: an audit.k8s.io/v1 Policy."),
    click.option("--audit-log-path", metavar="FILE", help="Where to; - is standard output.  [default: nowhere]"),
    click.option("--audit-log-maxsize", default=100, show_default=True, help="Megabytes, then a new file; 0: any."),
    click.option("--audit-log-maxbackup", default=0, show_default=True, help="Old files kept; 0: all."),
    click.option("--audit-log-maxage", default=0, show_default=True, help="Days old files are kept; 0: for ever."),
    click.option(
        "--encryption-provider-config",
        type=_FILE,
        help="What is sealed in the store, by which keys: an apiserver.config.k8s.io/v1 EncryptionConfiguration.",
    ),
)


def operations_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags to a command, which takes them as keyword arguments and hands them to `operations`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def operations(flags: dict[str, Any]) -> dict[str, Any]:
    """The fields of `server.Config` that the flags mean. Raises UsageError."""
    return {
        "grpc_token_port": flags["grpc_token_port"],
        "calls": CallsConfig(
            InFlightConfig(flags["max_requests_inflight"], flags["max_mutating_requests_inflight"]),
            request_timeout_s=flags["request_timeout"],
        ),
        "shutdown_delay_s": flags["shutdown_delay_duration"],
        "audit": _audit(flags),
        "keyrings": _keyrings(flags["encryption_provider_config"]),
    }


def _audit(flags: dict[str, Any]) -> Any:
    policy_file, path = flags["audit_policy_file"], flags["audit_log_path"]
    if policy_file is None and path is None:
        return None
    if policy_file is None or path is None:
        raise click.UsageError("--audit-policy-file and --audit-log-path come together")
    # What is rarely used is imported late: it would cost every start.
    from minik8s.control.apiserver.audit import policy
    from minik8s.control.apiserver.audit.file import FileConfig
    from minik8s.control.apiserver.audit.log import AuditConfig

    try:
        parsed = policy.parse(_document(policy_file))
    except ValueError as error:
        raise click.UsageError(f"--audit-policy-file: {error}") from None
    limits = (flags["audit_log_maxsize"], flags["audit_log_maxbackup"], flags["audit_log_maxage"])
    return AuditConfig(parsed, FileConfig(path, *limits))


def _keyrings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from minik8s.control.apiserver.encryption import keyring

    try:
        return keyring.parse(_document(path), secrets.token_bytes)
    except ValueError as error:
        raise click.UsageError(f"--encryption-provider-config: {error}") from None


def _document(path: Path) -> Any:
    """A parsed file of YAML or JSON. Raises ValueError, which says nothing of the file's content."""
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"{path} is no YAML{f': line {mark.line + 1}' if mark else ''}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML") from error
