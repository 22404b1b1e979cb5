"""Kubeconfig files: add and remove one cluster's entries, leaving everything else as it is.

`merged` and `without` are pure; `add` and `remove` apply them to a file atomically, under the lock that kubectl itself
takes (FILE.lock), so that a `kubectl config` at the same moment loses nothing either.
"""

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import yaml

from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Identity, write_private

_LOCK_WAIT_S = 5.0
_SECTIONS = ("clusters", "users", "contexts")

Document = dict[str, Any]


class KubeconfigError(Exception):
    """The file cannot be used; the message says why and what to do."""


def entries(name: str, server: str, identity: Identity) -> Document:
    """A kubeconfig that holds one cluster, its administrator and the context `name`. Raises OSError."""
    certificate, key, authority = (base64.b64encode(pem).decode() for pem in identity.read())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merged(document: Document, added: Document) -> Document:
    """`document` with the entries of `added` in place of those of the same names, and its current context."""
    result: Document = {"apiVersion": "v1", "kind": "Config", **document}
    for section in _SECTIONS:
        new = {entry["name"] for entry in added[section]}
        kept = [entry for entry in result.get(section) or [] if entry.get("name") not in new]
        result[section] = kept + added[section]
    result["current-context"] = added["current-context"]
    return result


def without(document: Document, name: str) -> Document:
    """`document` without the cluster, user and context `name`; no current context if that was it."""
    result = dict(document)
    for section in _SECTIONS:
        result[section] = [entry for entry in result.get(section) or [] if entry.get("name") != name]
    if result.get("current-context") == name:
        result["current-context"] = ""
    return result


def user_file() -> Path:
    """Where kubectl writes new contexts: of $KUBECONFIG the first file that exists, else the last; ~/.kube/config."""
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not listed:
        try:
            return Path.home() / ".kube/config"
        except RuntimeError as error:
            raise KubeconfigError("there is no home directory: give --kubeconfig FILE") from error
    return next((path for path in listed if path.exists()), listed[-1])


def add(path: Path, added: Document) -> None:
    """Merge `added` into the file, which is made 0600 if it is new. Raises KubeconfigError."""
    _change(path, lambda document: merged(document, added))


def remove(path: Path, name: str) -> None:
    """Take the entries of `name` out; a file that then holds nothing goes. Raises KubeconfigError."""
    if path.exists():
        _change(path, lambda document: without(document, name))


def _change(path: Path, change: Callable[[Document], Document]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = path.resolve()  # a symbolic link stays one
        with _locked(target):
            document = change(_read(target))
            if any(value for key, value in document.items() if key not in ("apiVersion", "kind")):
                write_private(target, yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False).encode())
            else:
                target.unlink(missing_ok=True)
    except OSError as error:
        raise KubeconfigError(f"cannot change {path}: {error.strerror}: mend it, or give --kubeconfig FILE") from error


def _read(path: Path) -> Document:
    try:
        document = _parse(path.read_bytes()) or {}
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path} is not YAML, and is left as it is: give --kubeconfig FILE ({error})") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{path} is not a kubeconfig, and is left as it is: give --kubeconfig FILE")
    return document


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + _LOCK_WAIT_S
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if clock.monotonic_s() > deadline_s:
                raise KubeconfigError(f"{lock} exists: if no kubectl is running, remove it") from None
            sleep(0.05)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _parse(text: bytes) -> Any:
    loader = yaml.CSafeLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
