"""The group authentication.k8s.io, version v1: models. Its kinds are questions, so none is listed or watched."""

from lightkube.models.authentication_v1 import *  # noqa: F403
from lightkube.models.authentication_v1 import SelfSubjectReview, TokenRequest, TokenReview

__all__ = ["SelfSubjectReview", "TokenRequest", "TokenReview"]
