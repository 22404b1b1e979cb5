"""Secret: configuration that is not for every eye."""

import base64
import binascii
from typing import Any

import msgspec

from minik8s.api.core_v1 import Secret
from minik8s.api.errors import Cause
from minik8s.api.names import config_key_faults
from minik8s.control.apiserver.causes import each_invalid, forbidden, immutable, invalid, required, too_long
from minik8s.control.apiserver.duration import age
from minik8s.control.apiserver.resource import Column, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME
from minik8s.control.apiserver.resources.objectmeta import subdomain_name

SIZE_BYTES_MAX = 1024 * 1024
_OF_ACCOUNTS = "kubernetes.io/service-account-token"
_ACCOUNT_NAME = "kubernetes.io/service-account.name"
# What the secrets of a type must hold.
_REQUIRED = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _default(secret: Document) -> None:
    secret["type"] = secret.get("type") or "Opaque"
    if texts := secret.pop("stringData", None):  # Write-only: what it says becomes data.
        data = secret.setdefault("data", {})
        data.update({key: base64.b64encode(text.encode()).decode() for key, text in texts.items()})


def _prepare_update(new: Document, old: Document) -> None:
    """As upstream: an update that names no type keeps it."""
    if new.get("type") in ("", "Opaque", None):
        new["type"] = old.get("type") or "Opaque"


def _validate(secret: Document) -> list[Cause]:
    found = []
    data = secret.get("data", {})
    for key in data:
        found += each_invalid(f"data[{key}]", key, config_key_faults(key))
    if sum(len(value) * 3 // 4 for value in data.values()) > SIZE_BYTES_MAX:
        found.append(too_long("data", SIZE_BYTES_MAX))
    return found + _validate_type(secret, data)


def _validate_type(secret: Document, data: dict[str, str]) -> list[Cause]:
    kind = secret["type"]
    if kind == _OF_ACCOUNTS and not secret["metadata"].get("annotations", {}).get(_ACCOUNT_NAME):
        return [required(f"metadata.annotations[{_ACCOUNT_NAME}]")]
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        return [required("data[username]"), required("data[password]")]
    found = [required(f"data[{key}]") for key in _REQUIRED.get(kind, ()) if key not in data]
    if not found and kind.startswith("kubernetes.io/dockerc"):
        key = _REQUIRED[kind][0]
        if not _is_json(data[key]):
            found.append(invalid(f"data[{key}]", "<secret contents redacted>", "invalid character in JSON"))
    return found


def _is_json(encoded: str) -> bool:
    try:
        msgspec.json.decode(base64.b64decode(encoded), type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, RecursionError):
        return False
    return True


def _validate_update(new: Document, old: Document) -> list[Cause]:
    found = immutable("type", new["type"], old.get("type"))
    if old.get("immutable"):
        why = "field is immutable when `immutable` is set"
        found += [forbidden(field, why) for field in ("immutable", "data") if new.get(field) != old.get(field)]
    return found


def _row(secret: Document, now_s: float) -> list[Any]:
    return [secret["metadata"]["name"], secret.get("type", ""), len(secret.get("data", ())), age(secret, now_s)]


def _fields(secret: Document) -> dict[str, str]:
    return {"type": secret.get("type", "")}


SECRETS = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    namespaced=True,
    model=Secret,
    storage_prefix="secrets",
    columns=(
        NAME,
        Column("Type", description="What the keys mean, to those who know the type."),
        Column("Data", description="How many keys there are."),
        AGE,
    ),
    row=_row,
    default=_default,
    prepare_update=_prepare_update,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=subdomain_name,
    fields=_fields,
    field_names=("type",),
)
