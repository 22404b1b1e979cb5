"""Probes and lifecycle hooks of containers: defaults and syntax of the handlers they share."""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import port_name_faults
from minik8s.control.apiserver.causes import (
    each_invalid,
    forbidden,
    invalid,
    not_negative,
    one_of,
    port_number,
    required,
)
from minik8s.control.apiserver.resource import Document

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def default_probe(probe: Document) -> None:
    """As kube-apiserver: 1 s timeout every 10 s, 1 success, 3 failures."""
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    default_handler(probe)


def default_handler(handler: Document) -> None:
    """Path and scheme of a request."""
    if (request := handler.get("httpGet")) is not None:
        request["path"] = request.get("path") or "/"
        request["scheme"] = request.get("scheme") or "HTTP"
    if (grpc := handler.get("grpc")) is not None:
        grpc.setdefault("service", "")


def validate_probe(name: str, probe: Document, path: str) -> list[Cause]:
    """Causes for one of PROBES."""
    found = validate_handler(probe, path)
    for number in _NUMBERS:
        found += not_negative(f"{path}.{number}", probe.get(number, 0))
    if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        found.append(invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return found


def validate_handler(handler: Document, path: str) -> list[Cause]:
    """Causes for what a probe or a hook does: exactly one thing, completely said."""
    given = [name for name in _HANDLERS if name in handler]
    if not given:
        return [required(path, "must specify a handler type")]
    found = [forbidden(f"{path}.{name}", "may not specify more than 1 handler type") for name in given[1:]]
    action = handler[given[0]]
    here = f"{path}.{given[0]}"
    match given[0]:
        case "exec":
            found += [] if action.get("command") else [required(f"{here}.command")]
        case "httpGet":
            found += [] if action.get("path") else [required(f"{here}.path")]
            found += validate_port_reference(action.get("port", 0), f"{here}.port")
            found += one_of(f"{here}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
        case "tcpSocket":
            found += validate_port_reference(action.get("port", 0), f"{here}.port")
        case "grpc":
            found += port_number(f"{here}.port", action.get("port", 0))
    return found


def validate_port_reference(port: Any, path: str) -> list[Cause]:
    """Causes for a port given by number or by name."""
    if isinstance(port, int):
        return port_number(path, port)
    return each_invalid(path, port, port_name_faults(port))
