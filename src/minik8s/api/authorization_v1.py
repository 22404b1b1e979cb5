"""The group authorization.k8s.io, version v1: models. Its kinds are questions, so none is listed or watched."""

from lightkube.models.authorization_v1 import *  # noqa: F403
from lightkube.models.authorization_v1 import (
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
)

__all__ = ["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]
