"""Paths of the REST API to Requests. Pure; called by `http`.

/api/v1/…                 the core group        /apis/GROUP/VERSION/…     every other group
…/namespaces/NS/RESOURCE/NAME/SUBRESOURCE       …/RESOURCE/NAME/SUBRESOURCE for what has no namespace
…/watch/…                 the old spelling of ?watch=true
"""

from collections.abc import Mapping

from minik8s.api import errors
from minik8s.api.request import JSON, Request
from minik8s.control.apiserver.listoptions import is_true

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Of a namespace itself: /namespaces/NS/status is no resource named "status" in it.
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


def parse(method: str, path: str, query: Mapping[str, str]) -> Request | None:
    """The Request that a method and path mean, without body; None if the path is no resource's.

    Raises StatusError MethodNotAllowed for methods the API does not have.
    """
    place = _place(path)
    if place is None:
        return None
    group, version, steps = place
    is_watch = "watch" in query and is_true(query["watch"])
    is_old = steps[0] == "watch"
    if is_old:
        is_watch, steps = True, steps[1:]
        if not steps:
            return None
    namespace = ""
    if steps[0] == "namespaces" and len(steps) > 2 and steps[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, steps = steps[1], steps[2:]
    resource, name, *rest = [*steps, ""] if len(steps) == 1 else steps
    subresource = rest[0] if rest else ""
    if len(rest) > 1 and subresource != "proxy":  # What follows that is the backend's path.
        return None
    if method not in _VERBS:
        raise errors.method_not_allowed()
    # As upstream: of one object only the old spelling is a watch; the parameter is ignored.
    verb = _verb(method, name, is_watch=is_watch and (is_old or not name) and not subresource)
    return Request(verb, group, version, resource, namespace, name, subresource, query, b"", JSON)


def group_version(path: str) -> str | None:
    """`v1` or `apps/v1`, of a path below one; None of any other."""
    steps = path.strip("/").split("/")
    if steps[0] == "api" and len(steps) > 1:
        return steps[1]
    return "/".join(steps[1:3]) if steps[0] == "apis" and len(steps) > 2 else None


def _verb(method: str, name: str, *, is_watch: bool) -> str:
    verb = _VERBS[method]
    if verb == "get":
        return "watch" if is_watch else ("get" if name else "list")
    return "deletecollection" if verb == "delete" and not name else verb


def _place(path: str) -> tuple[str, str, list[str]] | None:
    """(group, version, the steps below them, at least one)."""
    steps = [step for step in path.split("/") if step]
    if len(steps) > 2 and steps[0] == "api":
        return "", steps[1], steps[2:]
    if len(steps) > 3 and steps[0] == "apis":
        return steps[1], steps[2], steps[3:]
    return None
