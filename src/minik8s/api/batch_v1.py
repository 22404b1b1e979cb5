"""The group batch, version v1: models and kinds."""

from lightkube.models.batch_v1 import *  # noqa: F403
from lightkube.models.batch_v1 import (
    CronJob,
    Job,
)

from minik8s.api.kind import Kind

CRONJOBS = Kind(CronJob, "batch", "v1", "cronjobs")
JOBS = Kind(Job, "batch", "v1", "jobs")
