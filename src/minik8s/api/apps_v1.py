"""The group apps, version v1: models and kinds."""

from lightkube.models.apps_v1 import *  # noqa: F403
from lightkube.models.apps_v1 import Deployment, ReplicaSet
from lightkube.models.apps_v1 import DeploymentStatus as DeploymentStatus

from minik8s.api.kind import Kind

DEPLOYMENTS = Kind(Deployment, "apps", "v1", "deployments")
REPLICASETS = Kind(ReplicaSet, "apps", "v1", "replicasets")
