"""TokenRequest: what serviceaccounts/token takes and answers (`authn.requests`)."""

from minik8s.api.authentication_v1 import TokenRequest
from minik8s.control.apiserver.resource import Resource

TOKENREQUESTS = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenRequest",
    plural="serviceaccounts",
    namespaced=True,
    model=TokenRequest,
    storage_prefix="",
)
