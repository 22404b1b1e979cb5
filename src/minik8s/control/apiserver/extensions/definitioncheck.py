"""What is wrong with a CustomResourceDefinition, schemas apart: names, versions, columns, conversion. Pure.

Called as the kind's validation. As k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation, in its order and
words; schemas are `schemacheck`'s.
"""

from typing import Any

from minik8s.api.errors import Cause
from minik8s.api.names import dns_1035_label_faults, dns_subdomain_faults
from minik8s.control.apiserver.causes import forbidden, immutable, invalid, not_supported, required
from minik8s.control.apiserver.extensions.schemacheck import check_schema
from minik8s.control.apiserver.resource import Document

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_WARNING_BYTES_MAX = 256
_SELECTABLE_MAX = 8
_APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")


def validate(document: Document) -> list[Cause]:
    """Causes for a definition, new or old."""
    spec, metadata = document.get("spec", {}), document["metadata"]
    found = []
    name = f"{spec.get('names', {}).get('plural', '')}.{spec.get('group', '')}"
    if metadata.get("name") != name:
        why = 'must be spec.names.plural+"."+spec.group'
        found.append(invalid("metadata.name", metadata.get("name", ""), why))
    found += _spec(spec)
    found += _stored_versions(document)
    return found + _approval(spec, metadata)


def validate_update(new: Document, old: Document) -> list[Cause]:
    """Causes for what may not change: names and scope, once they are in use."""
    found = []
    spec, before = new.get("spec", {}), old.get("spec", {})
    conditions = old.get("status", {}).get("conditions") or ()
    if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
        found += immutable("spec.group", spec.get("group"), before.get("group"))
        found += immutable("spec.scope", spec.get("scope"), before.get("scope"))
        for field in ("kind", "plural"):
            found += immutable(f"spec.names.{field}", spec.get("names", {}).get(field), before["names"].get(field))
    return found


def _spec(spec: Document) -> list[Cause]:
    found = []
    group = spec.get("group", "")
    if not group:
        found.append(required("spec.group"))
    elif faults := dns_subdomain_faults(group):
        found.append(invalid("spec.group", group, ",".join(faults)))
    elif "." not in group:
        found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    found += _enum("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced"))
    if spec.get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(invalid("spec.preserveUnknownFields", True, why))
    versions = spec.get("versions") or []
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            path = f"spec.versions[{index}].schema.openAPIV3Schema"
            found.append(required(path, "schemas are required"))
    for index, version in enumerate(versions):
        found += _version(version, f"spec.versions[{index}]")
    if len({version.get("name") for version in versions}) != len(versions):
        found.append(invalid("spec.versions", _named(versions), "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "must have exactly one version marked as storage version"
        found.append(invalid("spec.versions", _named(versions), why))
    return found + _names(spec.get("names", {})) + _conversion(spec.get("conversion", {}))


def _named(versions: list[Document]) -> list[Any]:
    """Versions as a message shows them: without their schemas."""
    return [{name: value for name, value in each.items() if name in ("name", "served", "storage")} for each in versions]


def _names(names: Document) -> list[Cause]:
    found = [
        required(f"spec.names.{field}") for field in ("plural", "singular", "kind", "listKind") if not names.get(field)
    ]
    for field in ("plural", "singular"):
        found += _label(f"spec.names.{field}", names.get(field, ""))
    for field in ("kind", "listKind"):
        if text := names.get(field, ""):
            faults = dns_1035_label_faults(text.lower())
            why = f"may have mixed case, but should otherwise match: {','.join(faults)}"
            found += [invalid(f"spec.names.{field}", text, why)] if faults else []
    for field in ("shortNames", "categories"):
        for index, text in enumerate(names.get(field) or ()):
            found += _label(f"spec.names.{field}[{index}]", text, is_empty_allowed=False)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        found.append(invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same"))
    return found


def _label(path: str, text: str, *, is_empty_allowed: bool = True) -> list[Cause]:
    faults = dns_1035_label_faults(text) if text or not is_empty_allowed else []
    return [invalid(path, text, ",".join(faults))] if faults else []


def _version(version: Document, path: str) -> list[Cause]:
    found = _label(f"{path}.name", version.get("name", ""), is_empty_allowed=False)
    found += _deprecation(version, path)
    subresources = version.get("subresources") or {}
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is not None:
        has_status = subresources.get("status") is not None
        found += check_schema(schema, f"{path}.schema.openAPIV3Schema", has_status=has_status)
    if subresources.get("scale") is not None:
        found += _scale(subresources["scale"], f"{path}.subresources.scale")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        found += _column(column, f"{path}.additionalPrinterColumns[{index}]")
    return found + _selectable(version.get("selectableFields") or [], schema or {}, f"{path}.selectableFields")


def _deprecation(version: Document, path: str) -> list[Cause]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return []
    path = f"{path}.deprecationWarning"
    faults = []
    if not version.get("deprecated"):
        faults.append("can only be set for deprecated versions")
    if not warning:
        faults.append("must not be empty")
    if len(warning.encode()) > _WARNING_BYTES_MAX:
        faults.append(f"must be <= {_WARNING_BYTES_MAX} characters long")
    for index, char in enumerate(warning):
        if not char.isprintable():
            faults.append(
                f"must only contain printable UTF-8 characters; non-printable character found at index {index}"
            )
            break
    return [invalid(path, warning, fault) for fault in faults]


def _scale(scale: Document, path: str) -> list[Cause]:
    found = []
    places = (
        ("specReplicasPath", (".spec.",), "should be a json path under .spec", True),
        ("statusReplicasPath", (".status.",), "should be a json path under .status", True),
        ("labelSelectorPath", (".spec.", ".status."), "should be a json path under either .spec or .status", False),
    )
    for field, prefixes, why, is_required in places:
        text = scale.get(field, "")
        here = f"{path}.{field}"
        if not text:
            found += [required(here)] if is_required else []
        elif faults := _simple_path(here, text):
            found += faults
        elif not text.startswith(prefixes):
            found.append(invalid(here, text, why))
    return found


def _column(column: Document, path: str) -> list[Cause]:
    found = [required(f"{path}.name")] if not column.get("name") else []
    known = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not column.get("type"):
        found.append(required(f"{path}.type", known))
    elif column["type"] not in _COLUMN_TYPES:
        found.append(invalid(f"{path}.type", column["type"], known))
    if column.get("format") and column["format"] not in _COLUMN_FORMATS:
        found.append(invalid(f"{path}.format", column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}"))
    if not column.get("jsonPath"):
        return [*found, required(f"{path}.JSONPath")]
    return found + _simple_path(f"{path}.jsonPath", column["jsonPath"])


def _simple_path(path: str, text: str) -> list[Cause]:
    return [] if text.startswith(".") else [invalid(path, text, "must be a simple json path starting with .")]


def _selectable(fields: list[Document], schema: Document, path: str) -> list[Cause]:
    """Fields that lists may be selected by: strings, booleans and integers, outside lists."""
    found = []
    if len(fields) > _SELECTABLE_MAX:
        found.append(
            Cause("FieldValueTooMany", f"Too many: {len(fields)}: must have at most {_SELECTABLE_MAX} items", path)
        )
    seen = set()
    for index, field in enumerate(fields):
        text, here = field.get("jsonPath", ""), f"{path}[{index}].jsonPath"
        if not text:
            found.append(required(here))
            continue
        if text in seen:
            found.append(Cause("FieldValueDuplicate", f'Duplicate value: "{text}"', here))
        seen.add(text)
        found += _simple_path(here, text) or _selectable_type(schema, text, here)
    return found


def _selectable_type(schema: Document, text: str, path: str) -> list[Cause]:
    steps = text.removeprefix(".").split(".")
    if steps[0] == "metadata":
        return [invalid(path, text, "must not point to fields in metadata")]
    node: Any = schema
    for step in steps:
        node = (node.get("properties") or {}).get(step) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            return [invalid(path, text, "is an invalid path: does not refer to a valid field")]
    if node.get("type") not in ("string", "boolean", "integer"):
        return [invalid(path, text, "must point to a field of type string, boolean or integer")]
    return []


def _conversion(conversion: Document) -> list[Cause]:
    path = "spec.conversion"
    found = _enum(f"{path}.strategy", conversion.get("strategy", ""), ("None", "Webhook"))
    webhook = conversion.get("webhook") or {}
    client, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if conversion.get("strategy") != "Webhook":
        why = "should not be set when strategy is not set to Webhook"
        found += [forbidden(f"{path}.webhookClientConfig", why)] if client is not None else []
        return found + ([forbidden(f"{path}.conversionReviewVersions", why)] if versions else [])
    if client is None:
        found.append(required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook"))
    elif bool(client.get("url")) == (client.get("service") is not None):
        found.append(required(f"{path}.webhookClientConfig", "exactly one of url or service is required"))
    elif client.get("url") and not client["url"].startswith("https://"):
        found.append(
            invalid(f"{path}.webhookClientConfig.url", client["url"], "'https' is the only allowed URL scheme")
        )
    if not versions:
        return [*found, required(f"{path}.conversionReviewVersions")]
    if not set(versions) & set(_REVIEW_VERSIONS):
        why = f"must include at least one of {', '.join(_REVIEW_VERSIONS)}"
        found.append(invalid(f"{path}.conversionReviewVersions", versions, why))
    return found


def _stored_versions(document: Document) -> list[Cause]:
    path = "status.storedVersions"
    versions = document.get("spec", {}).get("versions") or ()
    stored = document.get("status", {}).get("storedVersions") or []
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    names = [version.get("name") for version in versions]
    found = []
    storage = next((version.get("name") for version in versions if version.get("storage")), None)
    for index, name in enumerate(stored):
        if name not in names:
            found.append(invalid(f"{path}[{index}]", name, "must appear in spec.versions"))
    if storage is not None and storage not in stored:
        found.append(invalid(path, stored, f"must have the storage version {storage}"))
    return found


def _approval(spec: Document, metadata: Document) -> list[Cause]:
    group = spec.get("group", "")
    if not group.endswith(tuple(f".{each}" for each in _PROTECTED)) and group not in _PROTECTED:
        return []
    if (metadata.get("annotations") or {}).get(_APPROVAL):
        return []
    why = f'protected groups must have approval annotation "{_APPROVAL}", '
    why += "see https://github.com/kubernetes/enhancements/pull/1111"
    return [required(f"metadata.annotations[{_APPROVAL}]", why)]


def _enum(path: str, value: str, supported: tuple[str, ...]) -> list[Cause]:
    if not value:
        return [required(path)]
    return [] if value in supported else [not_supported(path, value, supported)]
