"""Questions about access: may I, may they, may they here, what may I? Answered by `authz.reviews`."""

import msgspec

from minik8s.api.authorization_v1 import (
    LocalSubjectAccessReview,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
)
from minik8s.control.apiserver.resource import Resource


def _review(kind: str, model: type[msgspec.Struct], *, namespaced: bool = False) -> Resource:
    return Resource(
        group="authorization.k8s.io",
        version="v1",
        kind=kind,
        plural=f"{kind.lower()}s",
        namespaced=namespaced,
        model=model,
        storage_prefix="",
    )


LOCALSUBJECTACCESSREVIEWS = _review("LocalSubjectAccessReview", LocalSubjectAccessReview, namespaced=True)
SELFSUBJECTACCESSREVIEWS = _review("SelfSubjectAccessReview", SelfSubjectAccessReview)
SELFSUBJECTRULESREVIEWS = _review("SelfSubjectRulesReview", SelfSubjectRulesReview)
SUBJECTACCESSREVIEWS = _review("SubjectAccessReview", SubjectAccessReview)
