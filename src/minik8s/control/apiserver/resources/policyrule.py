"""What Roles and bindings are made of: rules, subjects, the reference to a role."""

from minik8s.api.errors import Cause
from minik8s.api.names import dns_label_faults
from minik8s.control.apiserver.causes import each_invalid, invalid, not_supported, required
from minik8s.control.apiserver.resource import Document

GROUP = "rbac.authorization.k8s.io"
_SUBJECT_GROUPS = {"ServiceAccount": "", "User": GROUP, "Group": GROUP}


def path_segment_name(name: str) -> str | None:
    """What is wrong with the name of a role: it is part of a URL, and nothing more is asked of it."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    return next((f"may not contain '{char}'" for char in "/%" if char in name), None)


def validate_rule(rule: Document, path: str, *, namespaced: bool) -> list[Cause]:
    """Causes for one rule of a role."""
    found = []
    if not rule.get("verbs"):
        found.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    if rule.get("nonResourceURLs"):
        where = f"{path}.nonResourceURLs"
        if namespaced:
            found.append(invalid(where, rule["nonResourceURLs"], "namespaced rules cannot apply to non-resource URLs"))
        if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(invalid(where, rule["nonResourceURLs"], why))
        return found
    if not rule.get("apiGroups"):
        found.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        found.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return found


def default_binding(binding: Document) -> None:
    """Fill in the API groups that are always the same."""
    role = binding.setdefault("roleRef", {})
    role["apiGroup"] = role.get("apiGroup") or GROUP
    for subject in binding.get("subjects", ()):
        if group := subject.get("apiGroup") or _SUBJECT_GROUPS.get(subject.get("kind", "")):
            subject["apiGroup"] = group
        else:
            subject.pop("apiGroup", None)


def validate_binding(binding: Document, *, roles: tuple[str, ...], namespaced: bool) -> list[Cause]:
    """Causes for a binding; `roles` are the kinds it may refer to."""
    role = binding["roleRef"]
    found = []
    if role["apiGroup"] != GROUP:
        found.append(not_supported("roleRef.apiGroup", role["apiGroup"], [GROUP]))
    if role.get("kind") not in roles:
        found.append(not_supported("roleRef.kind", role.get("kind", ""), roles))
    name = role.get("name", "")
    if not name:
        found.append(required("roleRef.name"))
    elif fault := path_segment_name(name):
        found.append(invalid("roleRef.name", name, fault))
    for index, subject in enumerate(binding.get("subjects", ())):
        found += _validate_subject(subject, f"subjects[{index}]", namespaced=namespaced)
    return found


def _validate_subject(subject: Document, path: str, *, namespaced: bool) -> list[Cause]:
    kind, name, group = (subject.get(field, "") for field in ("kind", "name", "apiGroup"))
    found = [] if name else [required(f"{path}.name")]
    if kind not in _SUBJECT_GROUPS:
        return [*found, not_supported(f"{path}.kind", kind, sorted(_SUBJECT_GROUPS))]
    if group != _SUBJECT_GROUPS[kind]:
        found.append(not_supported(f"{path}.apiGroup", group, [_SUBJECT_GROUPS[kind]]))
    if kind == "ServiceAccount":
        if name:
            found += each_invalid(f"{path}.name", name, dns_label_faults(name) if "." not in name else [])
        if not namespaced and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
    return found


def validate_binding_update(new: Document, old: Document) -> list[Cause]:
    """Causes for changes: who is bound may change, to what may not."""
    if new["roleRef"] == old.get("roleRef"):
        return []
    return [invalid("roleRef", new["roleRef"], "cannot change roleRef")]


def role_cell(binding: Document) -> str:
    """`ClusterRole/view`."""
    role = binding.get("roleRef", {})
    return f"{role.get('kind', '')}/{role.get('name', '')}"


def subject_cells(binding: Document) -> list[str]:
    """Users, groups and service accounts that are bound."""
    subjects = binding.get("subjects", [])
    names: dict[str, list[str]] = {kind: [] for kind in _SUBJECT_GROUPS}
    for subject in subjects:
        kind, name = subject.get("kind", ""), subject.get("name", "")
        if kind in names:
            names[kind].append(f"{subject.get('namespace', '')}/{name}" if kind == "ServiceAccount" else name)
    return [", ".join(names[kind]) for kind in ("User", "Group", "ServiceAccount")]
