"""The group rbac.authorization.k8s.io, version v1: models and kinds."""

from lightkube.models.rbac_v1 import *  # noqa: F403
from lightkube.models.rbac_v1 import (  # noqa: F401  (type checkers do not see through the star)
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
)

from minik8s.api.kind import Kind

CLUSTERROLES = Kind(ClusterRole, "rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
CLUSTERROLEBINDINGS = Kind(
    ClusterRoleBinding, "rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False
)
ROLES = Kind(Role, "rbac.authorization.k8s.io", "v1", "roles")
ROLEBINDINGS = Kind(RoleBinding, "rbac.authorization.k8s.io", "v1", "rolebindings")
