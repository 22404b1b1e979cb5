"""The group policy, version v1: models and kinds."""

from lightkube.models.policy_v1 import *  # noqa: F403
from lightkube.models.policy_v1 import (
    PodDisruptionBudget,
)

from minik8s.api.kind import Kind

PODDISRUPTIONBUDGETS = Kind(PodDisruptionBudget, "policy", "v1", "poddisruptionbudgets")
