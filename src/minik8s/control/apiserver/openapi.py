"""OpenAPI v3: one document per group and version, made from the Resources and the models, for kubectl.

What kubectl reads in them: that writes take `fieldValidation` (then it leaves validation to the server), which lists
merge by which key (client-side apply), and the descriptions (explain). Built on first use, then kept as bytes; the hash
in a document's address changes with its content, so clients may keep what they fetched for ever.
"""

import operator
import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha512
from inspect import cleandoc

import msgspec

from minik8s.api.request import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from minik8s.control.apiserver.discovery import group_path
from minik8s.control.apiserver.merge_facts import rule_of
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.shapes import Field, Shape, fields_of

_PACKAGES = {
    "meta_v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "int-or-string": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "time": "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "microtime": "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
}
_NAMED: dict[str, Document] = {
    "quantity": {
        "description": "An amount, as a number with an optional suffix: 500m, 2, 1.5Gi, 1e3.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    "int-or-string": {
        "description": "A number, or a text such as a percentage or the name of a port.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    "time": {"description": "A time to the second, as RFC 3339 writes it.", "type": "string", "format": "date-time"},
    "microtime": {
        "description": "A time to the microsecond, as RFC 3339 writes it.",
        "type": "string",
        "format": "date-time",
    },
}
_PLAIN: dict[str, Document] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "bool": {"type": "boolean"},
    "number": {"type": "number", "format": "double"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "any": {"type": "object"},
}
_PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH)
_REFERENCE = "#/components/schemas/"
_ITEM = re.compile(r"^\* \*\*(\w+)\*\* ``[^`]*`` - (.*?)(?=^\* \*\*\w+\*\* ``|\Z)", re.MULTILINE | re.DOTALL)


class OpenApi:
    """The documents of what is served, as bytes."""

    def __init__(self, resources: Sequence[Resource] = ()) -> None:
        self._members: dict[str, list[Resource]] = {}
        self._built: dict[str, tuple[bytes, str]] = {}
        self.describe(resources)

    def describe(self, resources: Sequence[Resource]) -> None:
        """These are served now. Documents of groups that are as they were stay as they are."""
        before = self._members
        self._members = {}
        for resource in resources:
            self._members.setdefault(group_path(resource).lstrip("/"), []).append(resource)
        for path in list(self._built):
            members = self._members.get(path, [])
            if len(members) != len(before[path]) or any(map(operator.is_not, members, before[path])):
                del self._built[path]

    def index(self) -> bytes:
        """What `/openapi/v3` answers. The first call builds every document, in some 60 ms."""
        paths = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._build(path)[1]}"} for path in self._members
        }
        return msgspec.json.encode({"paths": paths})

    def document(self, path: str) -> tuple[bytes, str] | None:
        """(document, hash) for `api/v1`, `apis/apps/v1`, …; None for what is not served."""
        return self._build(path) if path in self._members else None

    def _build(self, path: str) -> tuple[bytes, str]:
        if path not in self._built:
            body = msgspec.json.encode(render(self._members[path]))
            self._built[path] = body, sha512(body).hexdigest().upper()
        return self._built[path]


def render(members: Sequence[Resource]) -> Document:
    """The document of the Resources of one group and version."""
    paths: Document = {}
    components: dict[str, Document] = {}
    for resource in members:
        paths |= _paths(resource)
        _collect(Shape("object", model=resource.model), components)
        name = _name_of(resource)
        if resource.custom:
            components.pop(_name(resource.model), None)
            components[name] = _custom_component(resource, resource.custom.schema)
        components[name] = components[name] | {"x-kubernetes-group-version-kind": [_gvk(resource)]}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def _paths(resource: Resource) -> Document:
    root = group_path(resource)
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{root}{scope}/{resource.plural}"
    placed = [_parameter("namespace", "path")] if resource.namespaced else []
    if not resource.is_stored:
        return {collection: {"post": _operation(resource, "post", accepts=(JSON,)), "parameters": placed}}
    named = [*placed, _parameter("name", "path")]
    return {
        collection: {
            "get": _operation(resource, "list"),
            "post": _operation(resource, "post", accepts=(JSON,)),
            "parameters": placed,
        },
        f"{collection}/{{name}}": {
            "get": _operation(resource, "get"),
            "put": _operation(resource, "put", accepts=(JSON,)),
            "patch": _operation(resource, "patch", accepts=_patch_types(resource)),
            "delete": _operation(resource, "delete"),
            "parameters": named,
        },
    }


def _operation(resource: Resource, action: str, accepts: Sequence[str] = ()) -> Document:
    schema = {"$ref": _REFERENCE + _name_of(resource)}
    operation: Document = {
        "tags": [resource.api_version.replace("/", "_")],
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
        "responses": {"200": {"description": "OK", "content": {JSON: {"schema": schema}}}},
    }
    if accepts:
        operation["parameters"] = [
            _parameter(name, "query") for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
        ]
        given = schema if action != "patch" else {"type": "object"}
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": given} for kind in accepts}}
    return operation


def _parameter(name: str, place: str) -> Document:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string", "uniqueItems": True}}


def _gvk(resource: Resource) -> Document:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _name(model: type[msgspec.Struct]) -> str:
    """As upstream names components: `io.k8s.api.core.v1.Pod`."""
    module = model.__module__.rpartition(".")[2]
    package = _PACKAGES.get(module) or f"io.k8s.api.{module.replace('_', '.')}"
    return f"{package}.{model.__name__}"


def _name_of(resource: Resource) -> str:
    """The component of a resource's objects; of custom ones after the group: `com.example.v1.Gadget`."""
    if not resource.custom:
        return _name(resource.model)
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _patch_types(resource: Resource) -> Sequence[str]:
    return [kind for kind in _PATCH_TYPES if kind != STRATEGIC_MERGE_PATCH or not resource.custom]


def _custom_component(resource: Resource, schema: Document) -> Document:
    """The schema of a definition, with the fields that every object has."""
    properties = dict(schema.get("properties") or {})
    for name, property_ in _component(resource.model)["properties"].items():
        given = properties.get(name, {})
        properties[name] = property_ | ({"description": given["description"]} if given.get("description") else {})
    return schema | {"properties": properties}


def _collect(shape: Shape, components: dict[str, Document]) -> None:
    """Add the components that a shape refers to, directly or not."""
    if shape.item:
        _collect(shape.item, components)
    elif shape.form in _NAMED:
        components[_PACKAGES[shape.form]] = _NAMED[shape.form]
    elif shape.model and _name(shape.model) not in components:
        components[_name(shape.model)] = _component(shape.model)
        for field in fields_of(shape.model).values():
            _collect(field.shape, components)


@cache
def _component(model: type[msgspec.Struct]) -> Document:
    text, descriptions = _described(model)
    fields = fields_of(model).values()
    # Fields whose name is a word of Python's are documented with an underscore behind it.
    words = {field.name: descriptions.get(field.name) or descriptions.get(f"{field.name}_", "") for field in fields}
    component: Document = {
        "description": text,
        "type": "object",
        "properties": {field.name: _property(model, field, words[field.name]) for field in fields},
    }
    if required := [field.name for field in fields if field.required]:
        component["required"] = required
    return component


def _property(model: type[msgspec.Struct], field: Field, description: str) -> Document:
    schema = _schema(field.shape)
    if "$ref" in schema:
        schema = {"allOf": [schema]}  # Beside a bare reference nothing else counts.
    rule = rule_of(model, field.name)
    given = (("merge", rule.merge), ("retainKeys", rule.retain_keys), ("replace", rule.replace)) if rule else ()
    strategies = [name for name, is_given in given if is_given]
    if strategies:
        schema["x-kubernetes-patch-strategy"] = ",".join(strategies)
    if rule and rule.key:
        schema["x-kubernetes-patch-merge-key"] = rule.key
    return {"description": description, **schema}


def _schema(shape: Shape) -> Document:
    if shape.form == "list" and shape.item:
        return {"type": "array", "items": _schema(shape.item)}
    if shape.form == "map" and shape.item:
        return {"type": "object", "additionalProperties": _schema(shape.item)}
    if shape.model:
        return {"$ref": _REFERENCE + _name(shape.model)}
    if shape.form in _NAMED:
        return {"$ref": _REFERENCE + _PACKAGES[shape.form]}
    return dict(_PLAIN[shape.form])


@cache
def _described(model: type[msgspec.Struct]) -> tuple[str, dict[str, str]]:
    """(description of the model, of its fields), from the docstring that lightkube generates."""
    text, _, items = cleandoc(model.__doc__ or "").partition("**parameters**")
    return _flowed(text), {name: _flowed(words) for name, words in _ITEM.findall(cleandoc(items))}


def _flowed(text: str) -> str:
    return " ".join(text.split())
