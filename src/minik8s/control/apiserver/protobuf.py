"""Protobuf bodies to JSON: how Go's typed clients, and kubectl since 1.32, send what they write. Answers are JSON.

Called by `http` before anything else looks at a body. A body is `k8s\\0` and a runtime.Unknown: which kind it is, and
the bytes of that kind's message. The table of messages (`protobuf_fields.txt`, made by scripts/gen-protobuf-fields) is
read when the first such body comes, each message when it is first met.

Protobuf has no difference between a zero and nothing for what Go holds by value, so such zeros are left out, as Go's
JSON encoder does; what the API always has, `canonical` puts back.
"""

import base64
import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from minik8s.api.errors import StatusError, bad_request

PROTOBUF = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
DEPTH_MAX = 100  # of messages within each other, the schema of a custom resource included
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_VARINT_BYTES_MAX = 10
_EMPTY = memoryview(b"")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BY_VALUE = {"string": "", "bytes": "", "bool": False, "int32": 0, "int64": 0, "double": 0.0}


def is_protobuf(content_type: str) -> bool:
    """Whether a Content-Type names this format."""
    return content_type.partition(";")[0].strip().lower() == PROTOBUF


def to_json(body: bytes) -> bytes:
    """The JSON document of a body. Raises StatusError BadRequest for what is no such document."""
    try:
        return _envelope(body)
    except RecursionError:
        raise _unrecognized(body, "exceeded max depth") from None
    except (ValueError, OverflowError) as error:  # Of ours, or of the text, numbers and dates within.
        raise _unrecognized(body, str(error)) from None


def _envelope(body: bytes) -> bytes:
    if not body.startswith(MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    # runtime.Unknown: typeMeta (1), raw (2), contentEncoding (3), contentType (4).
    parts = {number: value for number, type_, value in _read(memoryview(body)[len(MAGIC) :]) if type_ == _BYTES}
    if parts.get(3):
        raise ValueError("the content of the body is encoded")
    raw = parts.get(2, _EMPTY)
    if parts.get(4) == b"application/json":
        return bytes(raw)
    meta = _message(parts.get(1, _EMPTY), "runtime.TypeMeta", 0)
    api_version, kind = meta.get("apiVersion", ""), meta.get("kind", "")
    name = _message_name(api_version, kind)
    if name not in _table():
        raise ValueError(f'no kind "{kind}" is registered for version "{api_version}"')
    return msgspec.json.encode({"kind": kind, "apiVersion": api_version} | _message(raw, name, 0))


def _message_name(api_version: str, kind: str) -> str:
    """`apps/v1`, `Deployment` → `apps.v1.Deployment`; options of calls are the same in every group."""
    group, _, version = api_version.rpartition("/")
    name = f"{group.partition('.')[0] or 'core'}.{version}.{kind}"
    return name if name in _table() or not kind.endswith("Options") else f"meta.v1.{kind}"


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: str  # string, bool, …, or a message
    many: str  # "[]", "map:" or ""
    is_inline: bool  # JSON has the fields of this message in its owner
    is_pointer: bool  # a zero is a value


@cache
def _table() -> dict[str, str]:
    """Message → the line that describes it."""
    text = files(__package__).joinpath("protobuf_fields.txt").read_text()
    lines = (line.partition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: rest for name, _, rest in lines}


@cache
def _fields(message: str) -> dict[int, _Field]:
    words = iter(_table()[message].split())
    return {int(number): _field(name, type_) for number, name, type_ in zip(words, words, words, strict=True)}


def _field(name: str, type_: str) -> _Field:
    many = "[]" if type_.startswith("[]") else "map:" if type_.startswith("map:") else ""
    return _Field(name.strip("~?"), type_.removeprefix(many), many, name.startswith("~"), name.endswith("?"))


def _message(data: memoryview, message: str, depth: int) -> dict[str, Any]:
    """A message as JSON has it. Unknown fields are skipped, as in Go."""
    if depth > DEPTH_MAX:
        raise RecursionError
    fields = _fields(message)
    tree: dict[str, Any] = {}
    for number, wire_type, value in _read(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.many == "map:":
            key, item = _entry(value, wire_type, field, depth)
            tree.setdefault(field.name, {})[key] = item
        elif field.many:
            items = tree.setdefault(field.name, [])
            if wire_type == _BYTES and field.type in ("bool", "int32", "int64"):
                items += [_scalar(each, _VARINT, field.type) for each in _varints(value)]
            else:
                items.append(_value(value, wire_type, field.type, depth))
        else:
            _set(tree, field, _value(value, wire_type, field.type, depth))
    return tree


def _set(tree: dict[str, Any], field: _Field, value: Any) -> None:
    if field.is_inline:
        tree.update(value)
    elif value is None or (not field.is_pointer and field.type in _BY_VALUE and value == _BY_VALUE[field.type]):
        tree.pop(field.name, None)
    else:
        tree[field.name] = value


def _entry(data: Any, wire_type: int, field: _Field, depth: int) -> tuple[str, Any]:
    """One entry of a map: a message of key (1) and value (2), each of which may be missing."""
    key: str = ""
    if field.type in _BY_VALUE:
        item: Any = _BY_VALUE[field.type]
    else:
        item = _value(_EMPTY, _BYTES, field.type, depth)
    for number, inner_type, value in _read(_expect(data, wire_type, _BYTES)):
        if number == 1:
            key = _scalar(value, inner_type, "string")
        elif number == 2:
            item = _value(value, inner_type, field.type, depth)
    return key, item


def _value(value: Any, wire_type: int, type_: str, depth: int) -> Any:
    if type_ in _BY_VALUE:
        return _scalar(value, wire_type, type_)
    data = _expect(value, wire_type, _BYTES)
    if special := _SPECIAL.get(type_):
        return special(data)
    if type_.endswith(".ExtraValue"):
        return _message(data, type_, depth + 1).get("items", [])
    if union := _UNIONS.get(type_):
        return _union(_message(data, type_, depth + 1), *union)
    if type_ not in _table():
        return None
    return _message(data, type_, depth + 1)


def _scalar(value: Any, wire_type: int, type_: str) -> Any:
    match type_:
        case "string":
            return str(_expect(value, wire_type, _BYTES), "utf-8")
        case "bytes":
            return base64.b64encode(_expect(value, wire_type, _BYTES)).decode()
        case "bool":
            return bool(_expect(value, wire_type, _VARINT))
        case "double":
            (number,) = struct.unpack("<d", _expect(value, wire_type, _FIXED64))
            if not math.isfinite(number):
                raise ValueError("a number is not finite")
            return number
    number = _expect(value, wire_type, _VARINT)
    bits = 32 if type_ == "int32" else 64
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _expect(value: Any, wire_type: int, wanted: int) -> Any:
    if wire_type != wanted:
        raise ValueError(f"proto: wrong wireType = {wire_type}")
    return value


# Messages with a spelling of their own in JSON.


def _timestamp(data: memoryview, timespec: str) -> str | None:
    parts = _message(data, "meta.v1.Timestamp", 0)
    if not parts:
        return None  # As in Go: no time at all.
    try:
        time = _EPOCH + timedelta(seconds=parts.get("seconds", 0), microseconds=parts.get("nanos", 0) // 1000)
    except OverflowError:
        raise ValueError("a time is out of range") from None
    return time.replace(tzinfo=None).isoformat("T", timespec) + "Z"


def _int_or_string(data: memoryview) -> int | str:
    parts = _message(data, "intstr.IntOrString", 0)
    found: int | str = parts.get("strVal", "") if parts.get("type") == 1 else parts.get("intVal", 0)
    return found


def _embedded(data: memoryview) -> Any:
    """A document within a document: JSON, or an envelope again."""
    raw = next((bytes(_expect(value, type_, _BYTES)) for number, type_, value in _read(data) if number == 1), b"")
    if not raw:
        return None
    return json.loads(_envelope(raw) if raw.startswith(MAGIC) else raw, parse_constant=_refuse_constant)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _duration(data: memoryview) -> str:
    nanoseconds = _message(data, "meta.v1.Duration", 0).get("duration", 0)
    return f"{nanoseconds / 1e9:.9f}".rstrip("0").rstrip(".") + "s"


_SPECIAL: dict[str, Callable[[memoryview], Any]] = {
    "resource.Quantity": lambda data: _message(data, "resource.Quantity", 0).get("string", "0"),
    "intstr.IntOrString": _int_or_string,
    "meta.v1.Time": lambda data: _timestamp(data, "seconds"),
    "meta.v1.MicroTime": lambda data: _timestamp(data, "microseconds"),
    "meta.v1.Duration": _duration,
    "meta.v1.FieldsV1": _embedded,
    "meta.v1.Verbs": lambda data: _message(data, "meta.v1.Verbs", 0).get("items", []),
    "runtime.RawExtension": _embedded,
    "apiextensions.v1.JSON": _embedded,
}
# Message → (the member that is the value if it is there, the other one, what the other is when absent).
_UNIONS: dict[str, tuple[str, str, Any]] = {
    "apiextensions.v1.JSONSchemaPropsOrBool": ("schema", "allows", False),
    "apiextensions.v1.JSONSchemaPropsOrArray": ("schema", "jSONSchemas", []),
    "apiextensions.v1.JSONSchemaPropsOrStringArray": ("schema", "property", []),
}


def _union(parts: dict[str, Any], first: str, second: str, default: Any) -> Any:
    return parts[first] if first in parts else parts.get(second, default)


# The wire format.


def _read(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of each field: a number, or the bytes of it."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise ValueError("proto: illegal tag 0")
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, wire_type, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire_type)
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        if size is None:
            raise ValueError(f"proto: illegal wireType {wire_type}")
        if size > end - at:
            raise ValueError("unexpected EOF")
        yield number, wire_type, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for index in range(_VARINT_BYTES_MAX):
        if at + index >= len(data):
            raise ValueError("unexpected EOF")
        byte = data[at + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, at + index + 1
    raise ValueError("proto: integer overflow")


def _varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        number, at = _varint(data, at)
        yield number


def _unrecognized(body: bytes, why: str) -> StatusError:
    sample = body[:30].hex() + (" ..." if len(body) > 30 else "")
    return bad_request(f"the object provided is unrecognized: {why} ({sample})")
