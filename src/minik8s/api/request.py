"""A call of the Kubernetes API and its answer, independent of how they travel.

The apiserver's REST and gRPC adapters make Requests of what arrives; the client's transports make them of method
calls; the in-process transport hands the same value across. Bodies are JSON bytes everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `query` holds REST's query parameters by their own names (labelSelector, limit, dryRun, …)."""

    verb: str  # one of VERBS
    group: str
    version: str
    resource: str  # plural
    namespace: str = ""  # "": cluster-scoped, or all namespaces
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = JSON
    user_agent: str = ""  # the program that calls, as it names itself
    # What is to be said of it in the audit log; added to while the request is served.
    annotations: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer that is not a failure (those are api.errors.StatusError)."""

    body: bytes  # a JSON document
    revision: int = 0  # the store revision it reflects
    code: int = 200  # REST's HTTP status
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch. The object of an ERROR is a Status; of a BOOKMARK only its revision counts."""

    type: str  # ADDED MODIFIED DELETED BOOKMARK ERROR
    object: bytes
    revision: int
