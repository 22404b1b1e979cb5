"""What webhook configurations and admission policies share: which requests they are about, and where a webhook is."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from minik8s.api.errors import Cause
from minik8s.api.names import dns_subdomain_faults, label_key_faults
from minik8s.control.apiserver.causes import duplicate, each_invalid, invalid, one_of, port_number, required, too_many
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.podtemplate import validate_label_selector

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SELECTORS = ("namespaceSelector", "objectSelector")
_TIMEOUT_S_MAX = 30
_CONDITIONS_MAX = 64


def default_webhook(webhook: Document) -> None:
    """As kube-apiserver, of mutating and validating ones."""
    for name, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
        webhook.setdefault(name, value)
    for name in _SELECTORS:
        webhook.setdefault(name, {})
    service = webhook.setdefault("clientConfig", {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    default_rules(webhook.get("rules", []))


def default_rules(rules: list[Document]) -> None:
    """Rules are about resources of any scope."""
    for rule in rules:
        rule["scope"] = rule.get("scope") or "*"


def validate_webhooks(webhooks: list[Document]) -> list[Cause]:
    """Causes for a list of webhooks."""
    found = []
    names = set()
    for index, webhook in enumerate(webhooks):
        path, name = f"webhooks[{index}]", webhook.get("name", "")
        found += _validate_webhook(webhook, path)
        if name in names:
            found.append(duplicate(f"{path}.name", name))
        names.add(name)
    return found


def _validate_webhook(webhook: Document, path: str) -> list[Cause]:
    found = _validate_name(webhook.get("name", ""), f"{path}.name")
    for index, rule in enumerate(webhook.get("rules", ())):
        found += validate_rule(rule, f"{path}.rules[{index}]")
    found += one_of(f"{path}.failurePolicy", webhook["failurePolicy"], ("Fail", "Ignore"))
    found += one_of(f"{path}.matchPolicy", webhook["matchPolicy"], ("Equivalent", "Exact"))
    effects = webhook.get("sideEffects", "")
    if not effects:
        found.append(required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    else:
        found += one_of(f"{path}.sideEffects", effects, ("None", "NoneOnDryRun"))
    if not 1 <= webhook["timeoutSeconds"] <= _TIMEOUT_S_MAX:
        why = f"the timeout value must be between 1 and {_TIMEOUT_S_MAX} seconds"
        found.append(invalid(f"{path}.timeoutSeconds", webhook["timeoutSeconds"], why))
    for name in _SELECTORS:
        found += validate_label_selector(webhook[name], f"{path}.{name}")
    found += validate_conditions(webhook.get("matchConditions", []), f"{path}.matchConditions")
    found += _validate_client(webhook["clientConfig"], f"{path}.clientConfig")
    versions = webhook.get("admissionReviewVersions", [])
    if not versions:
        found.append(required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1"))
    elif not {"v1", "v1beta1"} & set(versions):
        why = "must include at least one of v1, v1beta1"
        found.append(invalid(f"{path}.admissionReviewVersions", versions, why))
    return found


def _validate_name(name: str, path: str) -> list[Cause]:
    if not name:
        return [required(path)]
    found = each_invalid(path, name, dns_subdomain_faults(name))
    if not found and name.count(".") < 2:
        found.append(invalid(path, name, "should be a domain with at least three segments separated by dots"))
    return found


def validate_rule(rule: Document, path: str) -> list[Cause]:
    """Causes for one rule: operations on resources."""
    found = []
    operations = rule.get("operations", [])
    if not operations:
        found.append(required(f"{path}.operations"))
    for index, operation in enumerate(operations):
        found += one_of(f"{path}.operations[{index}]", operation, _OPERATIONS)
    for field in ("apiGroups", "apiVersions", "resources"):
        values = rule.get(field, [])
        if not values:
            found.append(required(f"{path}.{field}"))
        elif field != "resources" and "*" in values and len(values) > 1:
            why = "if '*' is present, must not specify other " + {"apiGroups": "API groups"}.get(field, "API versions")
            found.append(invalid(f"{path}.{field}", values, why))
    return found + one_of(f"{path}.scope", rule.get("scope", "*"), ("*", "Cluster", "Namespaced"))


def validate_conditions(
    conditions: list[Document], path: str, *, variables: Sequence[str] | None = None
) -> list[Cause]:
    """Causes for match conditions; those of a policy see `variables` and more."""
    if not conditions:
        return []
    from minik8s.control.apiserver.cel import environments  # With the first expression.

    found = [too_many(path, len(conditions), _CONDITIONS_MAX)] if len(conditions) > _CONDITIONS_MAX else []
    names = set()
    seen = environments.CONDITION_NAMES if variables is None else environments.POLICY_NAMES
    for index, condition in enumerate(conditions[:_CONDITIONS_MAX]):
        at, name, expression = f"{path}[{index}]", condition.get("name", ""), condition.get("expression", "")
        if not expression.strip():
            found.append(required(f"{at}.expression"))
        else:
            found += environments.expression_faults(expression, f"{at}.expression", seen, variables)
        found += each_invalid(f"{at}.name", name, label_key_faults(name)) if name else [required(f"{at}.name")]
        if name in names:
            found.append(duplicate(f"{at}.name", name))
        names.add(name)
    return found


def _validate_client(client: Document, path: str) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if service is not None:
        found = [required(f"{path}.service.{field}") for field in ("name", "namespace") if not service.get(field)]
        return found + port_number(f"{path}.service.port", service["port"])
    assert url is not None
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return [required(f"{path}.url", f"url must be a valid URL: {error}; desired format: https://host[/path]")]
    found = []
    if parts.scheme != "https":
        why = "'https' is the only allowed URL scheme; desired format: https://host[/path]"
        found.append(invalid(f"{path}.url", parts.scheme, why))
    if not parts.netloc:
        found.append(
            invalid(f"{path}.url", parts.netloc, "host must be specified; desired format: https://host[/path]")
        )
    if "@" in parts.netloc:
        found.append(invalid(f"{path}.url", "<redacted>", "user information is not permitted in the URL"))
    return found
