"""The group autoscaling, version v2: models and kinds."""

from lightkube.models.autoscaling_v2 import *  # noqa: F403
from lightkube.models.autoscaling_v2 import (
    HorizontalPodAutoscaler,
)

from minik8s.api.kind import Kind

HORIZONTALPODAUTOSCALERS = Kind(HorizontalPodAutoscaler, "autoscaling", "v2", "horizontalpodautoscalers")
