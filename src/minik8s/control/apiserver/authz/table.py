"""Who may do what, until RBAC comes: a fixed table of our own components. system:masters may do everything.

Until RBAC is here. Pure.
"""

from dataclasses import dataclass

from minik8s.control.apiserver.authz.attributes import NO_OPINION, Attributes, Decision, Verdict

READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "update", "patch", "delete", "deletecollection"})
PUBLIC_PATHS = frozenset({"/version", "/healthz", "/livez", "/readyz"})
DISCOVERY_PREFIXES = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources, written `plural` or `plural/subresource`; `*` is any."""

    verbs: frozenset[str]
    resources: frozenset[str]

    def allows(self, verb: str, resource: str) -> bool:
        """Whether the rule covers it."""
        return verb in self.verbs and ("*" in self.resources or resource in self.resources)


def _rule(verbs: frozenset[str], *resources: str) -> Rule:
    return Rule(verbs, frozenset(resources))


RULES: dict[str, tuple[Rule, ...]] = {
    # Users and groups; what a component needs and no more. Node users are limited further by NodeRestriction.
    "system:kube-scheduler": (
        # As upstream's role: what decides where pods go. Secrets do not.
        _rule(READ, "namespaces", "nodes", "pods", "services", "leases", "poddisruptionbudgets"),
        _rule(READ, "replicationcontrollers", "replicasets", "statefulsets"),
        _rule(READ, "persistentvolumeclaims", "persistentvolumes", "storageclasses", "csinodes", "csidrivers"),
        _rule(WRITE, "pods/binding", "pods/status", "events", "leases"),
    ),
    "system:kube-controller-manager": (_rule(READ | WRITE, "*"),),
    "system:kube-proxy": (_rule(READ, "services", "endpointslices", "nodes"), _rule(WRITE, "events")),
    "system:nodes": (
        _rule(READ, "nodes", "pods", "services", "endpointslices", "configmaps", "namespaces", "leases"),
        _rule(WRITE, "nodes", "nodes/status", "pods", "pods/status", "events", "leases"),
    ),
}


class Table:
    """The table as an authorizer."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        """Of resources and of paths."""
        user = attributes.user
        if attributes.is_resource:
            for subject in (user.name, *user.groups):
                if any(rule.allows(attributes.verb, attributes.full_resource) for rule in RULES.get(subject, ())):
                    return Verdict(Decision.ALLOW)
            return NO_OPINION
        path = attributes.path
        is_public = path in PUBLIC_PATHS or path.startswith(tuple(f"{each}/" for each in PUBLIC_PATHS))
        is_discovery = attributes.verb == "get" and path.startswith(DISCOVERY_PREFIXES)
        if is_public or (user.is_in("system:authenticated") and is_discovery):
            return Verdict(Decision.ALLOW)
        return NO_OPINION
