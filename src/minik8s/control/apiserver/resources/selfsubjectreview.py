"""SelfSubjectReview: who am I? Answered by `authn.reviews`."""

from minik8s.api.authentication_v1 import SelfSubjectReview
from minik8s.control.apiserver.resource import Resource

SELFSUBJECTREVIEWS = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="SelfSubjectReview",
    plural="selfsubjectreviews",
    namespaced=False,
    model=SelfSubjectReview,
    storage_prefix="",
)
