"""Pruning: fields of a custom object that its schema does not know are left out. Pure.

As k8s.io/apiextensions-apiserver schema/pruning and schema/objectmeta: where unknown fields are preserved, what is
known below them is still pruned; metadata holds what any object's metadata may, of the right types.
"""

from typing import Any

from lightkube.models.meta_v1 import ObjectMeta

from minik8s.control.apiserver.extensions.customobject import CustomObject
from minik8s.control.apiserver.extensions.structural import OBJECT_META, Node
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.strict import Findings, Repeated, conforms, walk


def prune(document: Document, node: Node, faults: list[str]) -> Document:
    """A copy of an object with known fields alone; `faults` gets a line per field that was unknown or came twice.

    Raises ValueError for metadata of wrong types.
    """
    pruned: Document = _object(document, node, "", faults, is_resource=True)
    return pruned


def prune_value(value: Any, node: Node) -> Any:
    """The same for a value inside an object. Raises ValueError for embedded metadata of wrong types."""
    return _value(value, node, "", [])


def _value(value: Any, node: Node, path: str, faults: list[str]) -> Any:
    if isinstance(value, dict):
        return _object(value, node, path, faults, is_resource=node.is_resource)
    if isinstance(value, list):
        if node.items is None:
            # Nothing is said of the items. Where anything goes they stay; elsewhere fields in them are unknown.
            return [
                _value(item, _ANY if node.takes_any else _NOTHING, f"{path}[{i}]", faults)
                for i, item in enumerate(value)
            ]
        return [_value(item, node.items, f"{path}[{i}]", faults) for i, item in enumerate(value)]
    return value


def _object(value: Document, node: Node, path: str, faults: list[str], *, is_resource: bool) -> Document:
    if isinstance(value, Repeated):
        faults += [f'duplicate field "{_joined(path, name)}"' for name in value.names]
    kept = {}
    for name, item in value.items():
        here = _joined(path, name)
        if is_resource and name in OBJECT_META:
            kept[name] = _metadata(item, here, faults) if name == "metadata" else item
            continue
        child = node.child(name)
        if child is not None:
            kept[name] = _value(item, child, here, faults)
        elif node.takes_any:
            kept[name] = _value(item, _ANY, here, faults)
        else:
            faults.append(f'unknown field "{here}"')
    return kept


def _metadata(value: Any, path: str, faults: list[str]) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(
            f"json: cannot unmarshal {_json_type(value)} into Go struct field .{path} of type v1.ObjectMeta"
        )
    plain = {name: item for name, item in value.items() if item is not None}
    if not isinstance(value, Repeated) and conforms(plain, ObjectMeta):
        return plain
    findings = Findings()
    walked = walk({"metadata": value}, CustomObject, findings)["metadata"]
    prefix = path.removesuffix("metadata")
    faults += [fault.replace('field "', f'field "{prefix}', 1) for fault in findings.faults]
    return walked


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _json_type(value: Any) -> str:
    return {str: "string", bool: "bool", int: "number", float: "number", list: "array"}.get(type(value), "object")


_ANY = Node({}, takes_any=True)
_NOTHING = Node({})
