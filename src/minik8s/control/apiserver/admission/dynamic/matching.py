"""Which requests a webhook or a policy is about: rules and selectors. Pure, but for looking up a namespace."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik8s.api.errors import not_found
from minik8s.api.selectors import from_label_selector
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.resource import Document, Resource

GROUP = "admissionregistration.k8s.io"
EXEMPT = frozenset(
    f"{mode}{kind}"
    for mode in ("mutating", "validating")
    for kind in ("webhookconfigurations", "admissionpolicies", "admissionpolicybindings")
)


def is_exempt(attributes: Attributes) -> bool:
    """Nobody is asked about the configuration of admission itself, so that a mistake in it can be mended."""
    return attributes.resource.group == GROUP and attributes.resource.plural in EXEMPT


def find_version(
    rules: Sequence[Document], attributes: Attributes, versions: Iterable[Resource], *, match_policy: str
) -> Resource | None:
    """The version of the resource in which the rules mean this request, or None if they do not.

    With `Equivalent` a rule about another version of the kind counts as well, and the request is shown in that one.
    """
    asked = attributes.asked or attributes.resource
    if any(_matches(rule, attributes, asked) for rule in rules):
        return asked
    if match_policy == "Exact":
        return None
    for version in versions:
        if version is not asked and any(_matches(rule, attributes, version) for rule in rules):
            return version
    return None


def _matches(rule: Mapping[str, Any], attributes: Attributes, version: Resource) -> bool:
    if not _within(attributes.operation, rule.get("operations", ())):
        return False
    if not _within(version.group, rule.get("apiGroups", ())) or not _within(
        version.version, rule.get("apiVersions", ())
    ):
        return False
    # As upstream: a namespace counts as cluster-scoped.
    if rule.get("scope", "*") not in ("*", "Namespaced" if version.namespaced else "Cluster"):
        return False
    if (names := rule.get("resourceNames")) and attributes.name not in names:
        return False
    return any(_is_resource(each, version.plural, attributes.subresource) for each in rule.get("resources", ()))


def _within(value: str, wanted: Sequence[str]) -> bool:
    return "*" in wanted or value in wanted


def _is_resource(wanted: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `pods/*`, `*`, `*/scale`, `*/*`."""
    name, _, part = wanted.partition("/")
    return name in ("*", plural) and part in ("*", subresource)


async def namespace_of(attributes: Attributes) -> Document | None:
    """The namespace a request is about; None of one that has none. Raises StatusError NotFound."""
    if not attributes.namespace or attributes.resource.plural == "namespaces":
        return None
    found = await attributes.reader.cached("namespaces", "", attributes.namespace)
    if found is None:
        raise not_found("namespaces", "", attributes.namespace)
    return found


async def selects(config: Mapping[str, Any], document: Document, attributes: Attributes) -> bool:
    """Whether the namespace's and the object's labels are those that are meant. Raises StatusError NotFound."""
    return _object_selected(config, document, attributes) and await _namespace_selected(config, document, attributes)


async def _namespace_selected(config: Mapping[str, Any], document: Document, attributes: Attributes) -> bool:
    selector = from_label_selector(config.get("namespaceSelector") or {})
    if not selector:
        return True
    if attributes.resource.plural == "namespaces" and not attributes.resource.group:
        subject = attributes.old if attributes.operation == "DELETE" else document
        return selector.matches(_labels(subject))
    namespace = await namespace_of(attributes)
    return namespace is None or selector.matches(_labels(namespace))


def _object_selected(config: Mapping[str, Any], document: Document, attributes: Attributes) -> bool:
    selector = from_label_selector(config.get("objectSelector") or {})
    if not selector:
        return True
    subjects = [document, attributes.old]
    return any(subject and selector.matches(_labels(subject)) for subject in subjects)


def _labels(document: Document | None) -> dict[str, str]:
    return (document or {}).get("metadata", {}).get("labels") or {}
