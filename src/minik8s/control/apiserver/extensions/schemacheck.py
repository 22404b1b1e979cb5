"""What is wrong with the schema of a custom kind: it must be structural, and only say what can be enforced. Pure.

Called by `definitioncheck`. As k8s.io/apiextensions-apiserver: ValidateCustomResourceDefinitionOpenAPISchema and then,
if that found nothing, schema.ValidateStructural and the validation of defaults.
"""

from collections.abc import Iterator
from typing import Any

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import forbidden, invalid, not_supported, required
from minik8s.control.apiserver.extensions import structural
from minik8s.control.apiserver.extensions.defaultcheck import check_defaults
from minik8s.control.apiserver.extensions.patterns import compiled
from minik8s.control.apiserver.extensions.rulecheck import check_rules
from minik8s.control.apiserver.resource import Document

DEPTH_MAX = 60  # of schemas in schemas; real ones have about a dozen levels
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("$ref", "additionalItems", "definitions", "dependencies", "id", "patternProperties")
_ROOT_WITH_STATUS = (
    "default",
    "description",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "uniqueItems",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_ROOT_FIELDS_SHOWN = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength "
_ROOT_FIELDS_SHOWN += (
    "MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs "
)
_ROOT_FIELDS_SHOWN += "Example XPreserveUnknownFields XValidations]"
_JUNCTORS = ("allOf", "anyOf", "oneOf")
# What a schema inside allOf, anyOf, oneOf and not may not say: it would have to be known before anything is validated.
_STRUCTURE = ("additionalProperties", "default", "description", "nullable", "title", "type")
_EXTENSIONS = (
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_INT_OR_STRING = ([{"type": "integer"}, {"type": "string"}], [{"type": "string"}, {"type": "integer"}])


def check_schema(schema: Any, path: str, *, has_status: bool) -> list[Cause]:
    """Causes for the schema of one version; `path` leads to it."""
    if not isinstance(schema, dict):
        return [Cause("FieldValueTypeInvalid", "Invalid value: must be a schema", path)]
    found = _root(schema, path, has_status=has_status)
    if _depth_exceeds(schema, DEPTH_MAX * 3):
        return [*found, invalid(path, "", f"schemas may be nested {DEPTH_MAX} levels deep")]
    found += _keywords(schema, path, is_root=True)
    found += _structure(schema, path, "root")
    if found:
        return found
    node = structural.build(schema)
    return check_defaults(node, path) + check_rules(node, path)


def _root(schema: Document, path: str, *, has_status: bool) -> list[Cause]:
    found = []
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    if not has_status:
        return found
    if schema.get("type", "object") != "object":
        why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [*found, invalid(f"{path}.type", schema["type"], why)]
    if any(keyword not in _ROOT_WITH_STATUS for keyword, value in schema.items() if value not in (None, False, [], {})):
        where = "at the root of the schema if the status subresource is enabled"
        found.append(invalid(path, sorted(schema), f"only {_ROOT_FIELDS_SHOWN} fields are allowed {where}"))
    return found


def _keywords(schema: Document, path: str, *, is_root: bool = False) -> list[Cause]:
    """Keywords that are not supported, or not together."""
    found = [forbidden(f"{path}.{name}", f"{name} is not supported") for name in _UNSUPPORTED if schema.get(name)]
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(forbidden(f"{path}.uniqueItems", why))
    type_ = schema.get("type", "")
    if type_ == "null":
        found.append(forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    elif type_ and type_ not in _TYPES:
        found.append(not_supported(f"{path}.type", type_, _TYPES))
    additional = schema.get("additionalProperties")
    if additional is not None:
        if schema.get("properties") and (additional is False or isinstance(additional, dict)):
            why = "additionalProperties and properties are mutual exclusive"
            found.append(forbidden(f"{path}.additionalProperties", why))
        if is_root:
            found.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if not isinstance(additional, dict | bool):
            found.append(invalid(f"{path}.additionalProperties", additional, "must be a schema or a boolean"))
    if isinstance(schema.get("items"), list):
        found.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    elif "items" in schema and not isinstance(schema["items"], dict):
        found.append(invalid(f"{path}.items", schema["items"], "must be a schema"))
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        found.append(invalid(f"{path}.pattern", schema["pattern"], "must be a valid regular expression"))
    found += _extensions(schema, path)
    for here, each in _children(schema, path):
        found += _keywords(each, here)
    return found


def _extensions(schema: Document, path: str) -> list[Cause]:
    found = []
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        found.append(invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    for keyword, type_, known in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "map", "set")),
    ):
        value = schema.get(keyword)
        if value is None:
            continue
        if schema.get("type") != type_:
            why = f"must be {type_} if {keyword} is specified"
            given = schema.get("type")
            found.append(invalid(f"{path}.type", given, why) if given else required(f"{path}.type", why))
        if value not in known:
            found.append(not_supported(f"{path}.{keyword}", value, known))
    return found + _list_keys(schema, path)


def _list_keys(schema: Document, path: str) -> list[Cause]:
    keys, list_type = schema.get("x-kubernetes-list-map-keys") or [], schema.get("x-kubernetes-list-type")
    here = f"{path}.x-kubernetes-list-map-keys"
    if list_type != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        place = f"{path}.x-kubernetes-list-type"
        if not keys:
            return _set_items(schema, path) if list_type == "set" else []
        return [required(place, why) if list_type is None else invalid(place, list_type, why)]
    if not keys:
        return [required(here, "must not be empty if x-kubernetes-list-type is map")]
    items = schema.get("items")
    if not isinstance(items, dict):
        return [required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")]
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        return [invalid(f"{path}.items.type", items.get("type", ""), why)]
    found, properties = [], items.get("properties") or {}
    for index, key in enumerate(keys):
        if key in keys[:index]:
            found.append(Cause("FieldValueDuplicate", f'Duplicate value: "{key}"', f"{here}[{index}]"))
        if key not in properties:
            found.append(invalid(f"{here}[{index}]", key, "entries must all be names of item properties"))
            continue
        place = f"{path}.items.properties[{key}]"
        if properties[key].get("type") in ("object", "array"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            found.append(invalid(f"{place}.type", properties[key]["type"], why))
        if key not in (items.get("required") or ()) and "default" not in properties[key]:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            found.append(required(f"{place}.default", why))
        if properties[key].get("nullable"):
            why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            found.append(forbidden(f"{place}.nullable", why))
    return found


def _set_items(schema: Document, path: str) -> list[Cause]:
    """The items of a set are compared as wholes."""
    items = schema.get("items")
    if not isinstance(items, dict):
        return []
    found = []
    if items.get("nullable"):
        why = "cannot be nullable when x-kubernetes-list-type is set"
        found.append(forbidden(f"{path}.items.nullable", why))
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        found.append(invalid(f"{path}.items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), why))
    if items.get("type") == "array" and items.get("x-kubernetes-list-type", "atomic") != "atomic":
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        found.append(invalid(f"{path}.items.x-kubernetes-list-type", items.get("x-kubernetes-list-type"), why))
    return found


_EMPTY_TYPE = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}


def _structure(schema: Document, path: str, level: str) -> list[Cause]:
    """Structural rules: every place has one type, and what is allowed there is known without looking at values."""
    found = []
    type_ = schema.get("type", "")
    is_embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    if type_ == "array" and schema.get("items") is None:
        found.append(required(f"{path}.items", "must be specified"))
    if is_embedded and type_ != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        found.append(invalid(f"{path}.type", type_, why) if type_ else required(f"{path}.type", why))
    elif not type_ and not schema.get("x-kubernetes-int-or-string") and not preserves:
        found.append(required(f"{path}.type", _EMPTY_TYPE[level]))
    if schema.get("x-kubernetes-int-or-string") and type_:
        why = "must be empty if x-kubernetes-int-or-string is true"
        found.append(invalid(f"{path}.type", type_, why))
    if is_embedded and schema.get("additionalProperties") is not None:
        why = "must not be used if x-kubernetes-embedded-resource is set"
        found.append(forbidden(f"{path}.additionalProperties", why))
    if level == "root" and type_ and type_ != "object":
        found.append(invalid(f"{path}.type", type_, "must be object at the root"))
    properties = schema.get("properties") or {}
    if is_embedded and not preserves and not properties:
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        found.append(required(f"{path}.properties", why))
    if level == "root" or is_embedded:
        found += _server_fields(properties, path)
    found += _values(schema, path)
    for name, each in properties.items():
        found += _structure(each, f"{path}.properties[{name}]", "field")
    if isinstance(schema.get("items"), dict):
        found += _structure(schema["items"], f"{path}.items", "item")
    if isinstance(schema.get("additionalProperties"), dict):
        found += _structure(schema["additionalProperties"], f"{path}.additionalProperties", "field")
    return found


def _server_fields(properties: Document, path: str) -> list[Cause]:
    """Of apiVersion, kind and metadata a schema says little: they are any object's."""
    found = []
    for name in ("kind", "apiVersion"):
        if name in properties and properties[name].get("type", "") != "string":
            found.append(invalid(f"{path}.properties[{name}].type", properties[name].get("type", ""), "must be string"))
    metadata = properties.get("metadata")
    if metadata is None:
        return found
    here = f"{path}.properties[metadata]"
    if metadata.get("type", "") != "object":
        found.append(invalid(f"{here}.type", metadata.get("type", ""), "must be object"))
    said = {name for name, value in metadata.items() if value not in (None, False, [], {}, "")}
    if said - {"type", "description", "properties"} or set(metadata.get("properties") or ()) - {"name", "generateName"}:
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        found.append(forbidden(here, why))
    return found


def _values(schema: Document, path: str) -> list[Cause]:
    """Schemas inside allOf, anyOf, oneOf and not only say what values are valid, of fields that are known outside."""
    found = []
    is_int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
    for here, junctor, each in _nested(schema, path):
        if is_int_or_string and junctor == "anyOf" and schema["anyOf"] in _INT_OR_STRING:
            continue
        if is_int_or_string and junctor == "allOf" and each.get("anyOf") in _INT_OR_STRING and len(each) == 1:
            continue
        found += _value(each, schema, here, path)
    return found


def _value(each: Document, outside: Document, path: str, outside_path: str) -> list[Cause]:
    found = []
    for keyword in _STRUCTURE:
        if each.get(keyword) not in (None, False, ""):
            why = "must be false to be structural" if keyword == "nullable" else "must be empty to be structural"
            if keyword in ("additionalProperties", "default"):
                why = "must be undefined to be structural"
            found.append(forbidden(f"{path}.{keyword}", why))
    for keyword in _EXTENSIONS:
        if each.get(keyword):
            why = (
                "must be empty to be structural"
                if "list" in keyword or "valid" in keyword
                else "must be false to be structural"
            )
            found.append(forbidden(f"{path}.{keyword}", why))
    properties = outside.get("properties") or {}
    for name, inner in (each.get("properties") or {}).items():
        here = f"{path}.properties[{name}]"
        if name in properties:
            found += _value(inner, properties[name], here, f"{outside_path}.properties[{name}]")
        elif isinstance(outside.get("additionalProperties"), dict):
            found += _value(inner, outside["additionalProperties"], here, f"{outside_path}.additionalProperties")
        else:
            found.append(required(f"{outside_path}.properties[{name}]", f"because it is defined in {here}"))
    if isinstance(each.get("items"), dict):
        if isinstance(outside.get("items"), dict):
            found += _value(each["items"], outside["items"], f"{path}.items", f"{outside_path}.items")
        else:
            found.append(required(f"{outside_path}.items", f"because it is defined in {path}.items"))
    for here, _, inner in _nested(each, path):
        found += _value(inner, outside, here, outside_path)
    return found


def _nested(schema: Document, path: str) -> Iterator[tuple[str, str, Document]]:
    for junctor in _JUNCTORS:
        for index, each in enumerate(schema.get(junctor) or ()):
            yield f"{path}.{junctor}[{index}]", junctor, each
    if isinstance(schema.get("not"), dict):
        yield f"{path}.not", "not", schema["not"]


def _children(schema: Document, path: str) -> Iterator[tuple[str, Document]]:
    for name, each in (schema.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", each
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield f"{path}.{keyword}", schema[keyword]
    for here, _, each in _nested(schema, path):
        yield here, each


def _is_pattern(text: str) -> bool:
    try:
        compiled(text)
    except ValueError:
        return False
    return True


def _depth_exceeds(tree: Any, depth_max: int) -> bool:
    level = [tree]
    for _ in range(depth_max):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
