"""PodSecurity: namespaces say by labels how far their pods may go; pods are refused, audited or warned about.

    pod-security.kubernetes.io/{enforce,audit,warn}: privileged | baseline | restricted
    pod-security.kubernetes.io/{enforce,audit,warn}-version: latest | v1.N

As k8s.io/pod-security-admission: pods are held to `enforce`; what makes pods (Deployments, Jobs, …) is only warned of.
A namespace that becomes stricter is told which of its pods would not be let in today. `pod_security_standards` knows
what the levels forbid.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minik8s.api import errors
from minik8s.api.errors import Cause
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.admission.pod_security_standards import LATEST, findings
from minik8s.control.apiserver.causes import invalid
from minik8s.control.apiserver.resource import Document

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,8})")
_PODS_MAX = 3000  # as upstream: of a namespace that becomes stricter, at most so many pods are looked at
_SIGNIFICANT_SUBRESOURCES = ("", "ephemeralcontainers", "resize")
# Kinds that hold a template, and where.
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "replicationcontrollers"): ("spec", "template"),
    ("", "podtemplates"): ("template",),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True, slots=True)
class Standard:
    """A level of a release."""

    level: str = "privileged"
    version: str = "latest"

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    def findings(self, metadata: Document, spec: Document) -> list[tuple[str, str]]:
        """What a pod does that this forbids."""
        minor = LATEST if self.version == "latest" else int(self.version.removeprefix("v1."))
        return findings(self.level, minor, metadata.get("annotations") or {}, spec)


@dataclass(frozen=True, slots=True)
class PodSecurityConfig:
    """As upstream's PodSecurityConfiguration: what holds where labels say nothing, and who is exempt."""

    defaults: Mapping[str, Standard] = field(default_factory=dict)  # by mode
    exempt_users: Sequence[str] = ()
    exempt_namespaces: Sequence[str] = ()
    exempt_runtime_classes: Sequence[str] = ()


class PodSecurity(Plugin):
    """Judges what is about to be stored, after all mutation."""

    def __init__(self, config: PodSecurityConfig | None = None) -> None:
        self._config = config or PodSecurityConfig()

    async def validate(self, document: Document, attributes: Attributes) -> None:
        """Raises StatusError Forbidden for a pod, Invalid for a namespace's labels."""
        if attributes.verb == "delete":
            return
        place = (attributes.resource.group, attributes.resource.plural)
        if place == ("", "namespaces") and not attributes.subresource:
            await self._namespace(document, attributes)
        elif place == ("", "pods") and attributes.subresource in _SIGNIFICANT_SUBRESOURCES:
            if attributes.old is None or _is_significant(document, attributes.old):
                await self._pod(document["metadata"], document.get("spec", {}), attributes, is_enforced=True)
        elif place in _TEMPLATES and not attributes.subresource:
            template: Document = document
            for step in _TEMPLATES[place]:
                template = template.get(step) or {}
            if template:
                await self._pod(template.get("metadata", {}), template.get("spec", {}), attributes, is_enforced=False)

    async def _pod(self, metadata: Document, spec: Document, attributes: Attributes, *, is_enforced: bool) -> None:
        config = self._config
        if attributes.namespace in config.exempt_namespaces or attributes.user_name in config.exempt_users:
            attributes.audit["pod-security.kubernetes.io/exempt"] = (
                "namespace" if attributes.namespace in config.exempt_namespaces else "user"
            )
            return
        if spec.get("runtimeClassName") in config.exempt_runtime_classes:
            attributes.audit["pod-security.kubernetes.io/exempt"] = "runtimeClass"
            return
        namespace = await attributes.reader.cached("namespaces", "", attributes.namespace)
        standards, _ = self._standards(namespace or {"metadata": {}})
        if is_enforced:
            enforced = standards["enforce"]
            attributes.audit["pod-security.kubernetes.io/enforce-policy"] = str(enforced)
            if found := enforced.findings(metadata, spec):
                raise attributes.refuse(f'violates PodSecurity "{enforced}": {_details(found)}')
        if found := standards["audit"].findings(metadata, spec):
            violations = f'would violate PodSecurity "{standards["audit"]}": {_details(found)}'
            attributes.audit["pod-security.kubernetes.io/audit-violations"] = violations
        if found := standards["warn"].findings(metadata, spec):
            attributes.warn(f'would violate PodSecurity "{standards["warn"]}": {_details(found)}')

    async def _namespace(self, document: Document, attributes: Attributes) -> None:
        standards, faults = self._standards(document)
        if attributes.old is None:
            if faults:
                raise errors.invalid("Namespace", "", attributes.name, faults)
            return
        before, old_faults = self._standards(attributes.old)
        if faults and faults != old_faults:
            raise errors.invalid("Namespace", "", attributes.name, faults)
        new, old = standards["enforce"], before["enforce"]
        is_relaxed = new.version == old.version and LEVELS.index(new.level) <= LEVELS.index(old.level)
        if new == old or is_relaxed or attributes.name in self._config.exempt_namespaces:
            return
        pods = await attributes.reader.list("pods", attributes.name)
        for warning in self._warnings(attributes.name, new, pods):
            attributes.warn(warning)

    def _warnings(self, namespace: str, standard: Standard, pods: Sequence[Document]) -> list[str]:
        """What is wrong with pods that are there; those of one controller, which are alike, are looked at last."""
        firsts: list[Document] = []
        others: list[Document] = []
        seen: set[str | None] = set()
        for pod in pods:
            if pod.get("spec", {}).get("runtimeClassName") in self._config.exempt_runtime_classes:
                continue
            owners = pod["metadata"].get("ownerReferences") or ()
            uid = next((owner["uid"] for owner in owners if owner.get("controller")), None)
            (others if uid in seen else firsts).append(pod)
            seen |= {uid} - {None}
        ordered = [*firsts, *others]
        names: dict[str, list[str]] = {}
        for pod in ordered[:_PODS_MAX]:
            if found := standard.findings(pod["metadata"], pod.get("spec", {})):
                names.setdefault(", ".join(reason for reason, _ in found), []).append(pod["metadata"]["name"])
        warnings = []
        if len(ordered) > _PODS_MAX:
            warnings.append(
                f"new PodSecurity enforce level only checked against the first {_PODS_MAX} of {len(ordered)} "
                "existing pods"
            )
        if names:
            warnings.append(
                f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{standard}"'
            )
        return warnings + sorted(f"{_first_of(found)}: {reason}" for reason, found in names.items())

    def _standards(self, namespace: Document) -> tuple[dict[str, Standard], list[Cause]]:
        """What holds in a namespace, by mode, and what is wrong with its labels. As upstream's PolicyToEvaluate."""
        labels = namespace["metadata"].get("labels") or {}
        standards, faults = {}, []
        for mode in _MODES:
            default = self._config.defaults.get(mode, Standard())
            level = labels.get(f"{PREFIX}{mode}", default.level)
            version = labels.get(f"{PREFIX}{mode}-version", default.version)
            if level not in LEVELS:
                why = f"must be one of {', '.join(LEVELS)}"
                faults.append(invalid(f"metadata.labels[{PREFIX}{mode}]", level, why))
                # What cannot be read is enforced in full, but does not fill logs.
                level = "restricted" if mode == "enforce" else "privileged"
            if not is_version(version):
                why = 'must be "latest" or "v1.x"'
                faults.append(invalid(f"metadata.labels[{PREFIX}{mode}-version]", version, why))
                version = "latest"
            standards[mode] = Standard(level, version)
        return standards, faults


def is_version(text: str) -> bool:
    """Whether it names a release's standards: `latest` or `v1.N`."""
    return text == "latest" or _VERSION.fullmatch(text) is not None


def _details(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in found)


def _first_of(names: Sequence[str]) -> str:
    others = len(names) - 1
    if not others:
        return names[0]
    return f"{min(names)} (and {others} other pod{'s' if others > 1 else ''})"


def _is_significant(new: Document, old: Document) -> bool:
    """Whether an update changes what the checks look at, of the little that may change: images, added containers."""
    specs = [pod.get("spec", {}) for pod in (new, old)]
    parts = ("initContainers", "containers", "ephemeralContainers")
    images = [
        [(each.get("name"), each.get("image")) for part in parts for each in spec.get(part, ())] for spec in specs
    ]
    return images[0] != images[1]
