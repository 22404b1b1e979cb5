"""Which resources are sealed, by which keys: an EncryptionConfiguration (apiserver.config.k8s.io/v1). Pure.

Read once by `cli/apiserver`, used by `store`. As upstream: the first provider seals what is written, all of them are
tried on what is read, by the prefix `k8s:enc:ALGORITHM:v1:KEY:` that each value carries. Rotating a key: add the new
one second, restart all apiservers; move it first, restart; write every object anew
(`kubectl get secrets -A -o json | kubectl replace -f -`); remove the old one.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minik8s.control.apiserver.encryption.ciphers import ALGORITHMS, RandomBytes, Sealer, Unsealable

_PREFIX = b"k8s:enc:"
_KEY_BYTES = (16, 24, 32)


@dataclass(frozen=True, slots=True)
class Opened:
    """A value as read."""

    value: bytes
    is_stale: bool  # it would be sealed differently if it were written now


@dataclass(frozen=True, slots=True)
class Provider:
    """One algorithm with one key; without a sealer, `identity`: values as they are."""

    prefix: bytes
    sealer: Sealer | None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The providers of some resources."""

    providers: tuple[Provider, ...]

    def seal(self, place: bytes, value: bytes) -> bytes:
        """A value as it is stored at `place`."""
        first = self.providers[0]
        return first.prefix + first.sealer.seal(place, value) if first.sealer else value

    def open(self, place: bytes, stored: bytes) -> Opened:
        """A value as it was. Raises Unsealable in upstream's words."""
        failures = []
        for index, provider in enumerate(self.providers):
            if provider.sealer is None:
                if not stored.startswith(_PREFIX):
                    return Opened(stored, is_stale=index > 0)
                failures.append("identity transformer tried to read encrypted data")
            elif stored.startswith(provider.prefix):
                try:
                    return Opened(provider.sealer.unseal(place, stored[len(provider.prefix) :]), is_stale=index > 0)
                except Unsealable as error:
                    failures.append(str(error))
        raise Unsealable(", ".join(failures) or "no matching prefix found")


def parse(document: Any, random_bytes: RandomBytes) -> dict[str, Keyring]:
    """Keyrings by resource (`secrets`, `widgets.example.com`, `*.`). Raises ValueError with what is wrong where."""
    if not isinstance(document, dict) or document.get("kind") != "EncryptionConfiguration":
        raise ValueError("the document's kind must be EncryptionConfiguration")
    if document.get("apiVersion") != "apiserver.config.k8s.io/v1":
        raise ValueError("the document's apiVersion must be apiserver.config.k8s.io/v1")
    found: dict[str, Keyring] = {}
    for index, each in enumerate(_list(document, "resources", "")):
        where = f"resources[{index}]"
        providers = _list(each, "providers", where)
        keyring = Keyring(
            tuple(
                provider
                for position, one in enumerate(providers)
                for provider in _providers(one, f"{where}.providers[{position}]", random_bytes)
            )
        )
        for name in _list(each, "resources", where):
            if not isinstance(name, str):
                raise ValueError(f"{where}.resources: a list of strings")
            found.setdefault(name, keyring)
    return found


def _providers(document: Any, where: str, random_bytes: RandomBytes) -> list[Provider]:
    if not isinstance(document, dict) or len(document) != 1:
        raise ValueError(f"{where}: exactly one provider, such as aesgcm or identity")
    name, settings = next(iter(document.items()))
    if name == "identity":
        return [Provider(b"", None)]
    algorithm = ALGORITHMS.get(name)
    if algorithm is None:
        raise ValueError(f"{where}.{name}: not supported; use aesgcm, aescbc or identity")
    made = []
    for position, key in enumerate(_list(settings, "keys", f"{where}.{name}")):
        here = f"{where}.{name}.keys[{position}]"
        if not isinstance(key, dict) or not isinstance(key.get("name"), str) or not key["name"]:
            raise ValueError(f"{here}.name: Required value")
        if ":" in key["name"]:
            raise ValueError(f"{here}.name: must not hold a colon")
        made.append(Provider(f"k8s:enc:{name}:v1:{key['name']}:".encode(), algorithm(_secret(key, here), random_bytes)))
    return made


def _secret(key: Mapping[str, Any], where: str) -> bytes:
    try:
        secret = base64.b64decode(str(key.get("secret") or ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{where}.secret: must be base64 encoded") from None
    if len(secret) not in _KEY_BYTES:
        raise ValueError(f"{where}.secret: a key has 16, 24 or 32 bytes, this one {len(secret)}")
    return secret


def _list(document: Any, name: str, where: str) -> list[Any]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, list) or not found:
        raise ValueError(f"{where}.{name}: Required value: a list".lstrip("."))
    return found
