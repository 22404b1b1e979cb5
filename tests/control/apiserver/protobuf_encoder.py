"""An encoder for tests: documents as Go's clients would send them. It shares the table of fields with the decoder.

`encode(document)` makes a body of a JSON document of a kind; zeros that are in the document are sent.
"""

import base64
import json
import struct
from datetime import datetime
from typing import Any

from minik8s.control.apiserver.protobuf import _UNIONS, MAGIC, _fields, _message_name, _table


def encode(document: dict[str, Any]) -> bytes:
    kind, api_version = document["kind"], document["apiVersion"]
    raw = message({k: v for k, v in document.items() if k not in ("kind", "apiVersion")}, name_of(api_version, kind))
    return envelope(api_version, kind, raw)


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, meta) + field(2, raw) + field(3, b"") + field(4, b"")


def name_of(api_version: str, kind: str) -> str:
    return _message_name(api_version, kind)


def message(tree: dict[str, Any], name: str) -> bytes:
    made = b""
    left = dict(tree)
    for number, each in sorted(_fields(name).items()):
        if each.is_inline:
            inner = {key: left.pop(key) for key in list(left) if key in names_of(each.type)}
            made += field(number, message(inner, each.type))
        elif each.name in left:
            value = left.pop(each.name)
            if each.many == "map:":
                for key, item in value.items():
                    made += field(number, field(1, key.encode()) + one(2, item, each.type))
            elif each.many:
                made += b"".join(one(number, item, each.type) for item in value)
            else:
                made += one(number, value, each.type)
    assert left.keys() <= {"kind", "apiVersion"}, (name, left)  # of a document within a document
    return made


def names_of(name: str) -> set[str]:
    """The fields that JSON has in a message, those of inlined members included."""
    found: set[str] = set()
    for each in _fields(name).values():
        found |= names_of(each.type) if each.is_inline else {each.name}
    return found


def one(number: int, value: Any, type_: str) -> bytes:
    match type_:
        case "string":
            return field(number, value.encode())
        case "bytes":
            return field(number, base64.b64decode(value))
        case "bool" | "int32" | "int64":
            return varint(number << 3) + varint(int(value) & (1 << 64) - 1)
        case "double":
            return varint(number << 3 | 1) + struct.pack("<d", value)
        case "resource.Quantity":
            return field(number, field(1, str(value).encode()))
        case "intstr.IntOrString":
            is_text = isinstance(value, str)
            body = one(1, int(is_text), "int64") + one(2, 0 if is_text else value, "int32")
            return field(number, body + one(3, value if is_text else "", "string"))
        case "meta.v1.Time" | "meta.v1.MicroTime":
            time = datetime.fromisoformat(value)
            nanos = time.microsecond * 1000
            return field(number, one(1, int(time.timestamp()), "int64") + one(2, nanos, "int32"))
        case "apiextensions.v1.JSON":
            return field(number, field(1, json.dumps(value).encode()))
    if union := _UNIONS.get(type_):
        first, second, _ = union
        return field(number, message({first if isinstance(value, dict) else second: value}, type_))
    if type_.endswith(".ExtraValue"):
        return field(number, b"".join(one(1, item, "string") for item in value))
    assert type_ in _table(), type_
    return field(number, message(value, type_))


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)
