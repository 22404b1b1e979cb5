"""Who may do what, until RBAC comes: a fixed table of our own components. system:masters may do everything.

Called by `handler` for every resource request and by `http` for other paths. Pure.
"""

from dataclasses import dataclass

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import User

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


def authorize(user: User, request: Request) -> None:
    """Raises StatusError Forbidden, in upstream's words."""
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    if user.is_in("system:masters"):
        return
    for subject in (user.name, *user.groups):
        if any(rule.allows(request.verb, resource) for rule in RULES.get(subject, ())):
            return
    scope = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {request.verb} resource "{resource}" in API group "{request.group}" {scope}'
    raise errors.forbidden(request.resource, request.group, request.name, why)


def authorize_path(user: User, path: str, verb: str = "get") -> None:
    """The same for a path that is no resource. Raises StatusError Forbidden."""
    if path in PUBLIC_PATHS or path.startswith(tuple(f"{each}/" for each in PUBLIC_PATHS)):
        return
    if user.is_in("system:masters"):
        return
    if user.is_in("system:authenticated") and verb == "get" and path.startswith(DISCOVERY_PREFIXES):
        return
    message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
    raise StatusError("Forbidden", message)
