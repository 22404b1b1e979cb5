"""The group apps, version v1: models and kinds."""

from lightkube.models.apps_v1 import *  # noqa: F403
from lightkube.models.apps_v1 import (
    ControllerRevision,
    DaemonSet,
    Deployment,
    ReplicaSet,
    StatefulSet,
)
from lightkube.models.apps_v1 import DeploymentStatus as DeploymentStatus

from minik8s.api.kind import Kind

CONTROLLERREVISIONS = Kind(ControllerRevision, "apps", "v1", "controllerrevisions")
DAEMONSETS = Kind(DaemonSet, "apps", "v1", "daemonsets")
DEPLOYMENTS = Kind(Deployment, "apps", "v1", "deployments")
REPLICASETS = Kind(ReplicaSet, "apps", "v1", "replicasets")
STATEFULSETS = Kind(StatefulSet, "apps", "v1", "statefulsets")
