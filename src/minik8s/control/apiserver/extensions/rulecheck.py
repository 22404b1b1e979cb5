"""Rules of a schema (x-kubernetes-validations) must compile, over what the schema says is there. Pure.

Called by `schemacheck` for a schema that is structural. As apiextensions-apiserver's ValidateCustomResourceDefinition.
"""

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, not_supported, required
from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.extensions import rules
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Document

_REASONS = ("FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate")
_MESSAGE_BYTES_MAX = 2048


def check_rules(node: Node, path: str) -> list[Cause]:
    """Causes for the rules of a schema; `path` leads to it."""
    return _check(node, path, is_resource=True, keeper="")


def _check(node: Node, path: str, *, is_resource: bool, keeper: str) -> list[Cause]:
    """`keeper` is the list without keys that this place is in: of what is below it nobody can tell what was before."""
    found: list[Cause] = []
    for index, rule in enumerate(node.rules):
        found += _rule(rule, node, f"{path}.x-kubernetes-validations[{index}]", is_resource=is_resource, keeper=keeper)
    for name, each in node.properties.items():
        found += _check(each, f"{path}.properties[{name}]", is_resource=each.is_resource, keeper=keeper)
    if node.additional is not None:
        here = f"{path}.additionalProperties"
        found += _check(node.additional, here, is_resource=node.additional.is_resource, keeper=keeper)
    if node.items is not None:
        inside = keeper or ("" if node.list_type == "map" else path)
        found += _check(node.items, f"{path}.items", is_resource=node.items.is_resource, keeper=inside)
    return found


def _rule(rule: Document, node: Node, path: str, *, is_resource: bool, keeper: str) -> list[Cause]:
    found: list[Cause] = []
    text, message = rule.get("rule", ""), rule.get("message")
    if not text.strip():
        found.append(required(f"{path}.rule", "rule is not specified"))
    if message is not None and not message.strip():
        found.append(invalid(f"{path}.message", message, "message must be non-empty if specified"))
    elif message and len(message) > _MESSAGE_BYTES_MAX:
        found.append(
            invalid(f"{path}.message", message[:10] + "...", "message must have a maximum length of 2048 characters")
        )
    elif message and "\n" in message.strip():
        found.append(invalid(f"{path}.message", message, "message must not contain line breaks"))
    if "\n" in text and not message:
        found.append(required(f"{path}.message", "message must be specified if rule contains line breaks"))
    if (reason := rule.get("reason")) is not None and reason not in _REASONS:
        found.append(not_supported(f"{path}.reason", reason, _REASONS))
    if (field := rule.get("fieldPath")) is not None:
        found += _field(field, node, f"{path}.fieldPath")
    if rule.get("optionalOldSelf") and not rules.uses_old(text):
        why = "may not be set if oldSelf is not used in rule"
        found.append(invalid(f"{path}.optionalOldSelf", True, why))
    if rules.uses_old(text) and keeper and not found:
        why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {keeper}"
        found.append(invalid(f"{path}.rule", text, why))
    return found or _compiled(rule, node, path, is_resource=is_resource)


def _compiled(rule: Document, node: Node, path: str, *, is_resource: bool) -> list[Cause]:
    without = {name: value for name, value in rule.items() if name != "messageExpression"}
    try:
        made = rules.compile_rule(without, node, is_resource=is_resource)
    except CelError as error:
        return [invalid(f"{path}.rule", rule, f"compilation failed: {error.message}")]
    if made.program.result.name not in ("bool", "dyn"):
        return [invalid(f"{path}.rule", rule, "must evaluate to a bool")]
    if "messageExpression" not in rule:
        return []
    expression = rule["messageExpression"]
    here = f"{path}.messageExpression"
    if not expression.strip():
        return [required(here, "messageExpression must be non-empty if specified")]
    try:
        made = rules.compile_rule(rule, node, is_resource=is_resource)
    except CelError as error:
        return [invalid(here, rule, f"messageExpression compilation failed: {error.message}")]
    assert made.message
    if made.message.result.name not in ("string", "dyn"):
        return [invalid(here, rule, "messageExpression must evaluate to a string")]
    return []


def _field(field: str, node: Node, path: str) -> list[Cause]:
    """fieldPath leads from the rule's place to a field the schema names: `.spec.name`."""
    if not field.strip():
        return [invalid(path, field, "fieldPath must be non-empty if specified")]
    if "\n" in field.strip():
        return [invalid(path, field, "fieldPath must not contain line breaks")]
    place: Node | None = node
    for step in field.removeprefix(".").split("."):
        name, _, rest = step.partition("['")
        for part in (name, rest.removesuffix("']")) if rest else (name,):
            if part:
                place = place.child(part) if place else None
    if not field.startswith((".", "['")) or place is None:
        return [invalid(path, field, "fieldPath must be a valid path: does not refer to a valid field")]
    return []
