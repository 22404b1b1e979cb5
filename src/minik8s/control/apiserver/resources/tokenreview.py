"""TokenReview: whose is this token? Answered by `authn.reviews`."""

from minik8s.api.authentication_v1 import TokenReview
from minik8s.control.apiserver.resource import Resource

TOKENREVIEWS = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenReview",
    plural="tokenreviews",
    namespaced=False,
    model=TokenReview,
    storage_prefix="",
)
