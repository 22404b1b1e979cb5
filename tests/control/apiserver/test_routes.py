"""Paths to Requests."""

import pytest

from minik8s.api.errors import StatusError
from minik8s.control.apiserver import routes

PATHS = [  # method, path, query → verb, group, version, resource, namespace, name, subresource
    ("GET", "/api/v1/pods", {}, ("list", "", "v1", "pods", "", "", "")),
    ("GET", "/api/v1/namespaces/d/pods", {}, ("list", "", "v1", "pods", "d", "", "")),
    ("GET", "/api/v1/namespaces/d/pods/a", {}, ("get", "", "v1", "pods", "d", "a", "")),
    ("HEAD", "/api/v1/namespaces/d/pods/a", {}, ("get", "", "v1", "pods", "d", "a", "")),
    ("GET", "/api/v1/namespaces/d/pods/a/log", {}, ("get", "", "v1", "pods", "d", "a", "log")),
    ("GET", "/api/v1/namespaces/d/pods", {"watch": "true"}, ("watch", "", "v1", "pods", "d", "", "")),
    ("GET", "/api/v1/pods", {"watch": "0"}, ("list", "", "v1", "pods", "", "", "")),
    ("GET", "/api/v1/watch/namespaces/d/pods", {}, ("watch", "", "v1", "pods", "d", "", "")),
    ("GET", "/api/v1/watch/namespaces/d/pods/a", {}, ("watch", "", "v1", "pods", "d", "a", "")),
    ("GET", "/api/v1/namespaces/d/pods/a", {"watch": "true"}, ("get", "", "v1", "pods", "d", "a", "")),
    ("GET", "/api/v1/namespaces/d/pods/a/log", {"watch": "true"}, ("get", "", "v1", "pods", "d", "a", "log")),
    ("GET", "/api/v1/watch/namespaces/d/pods/a/log", {}, ("get", "", "v1", "pods", "d", "a", "log")),
    ("GET", "/api/v1/namespaces", {}, ("list", "", "v1", "namespaces", "", "", "")),
    ("GET", "/api/v1/namespaces/d", {}, ("get", "", "v1", "namespaces", "", "d", "")),
    ("PUT", "/api/v1/namespaces/d/finalize", {}, ("update", "", "v1", "namespaces", "", "d", "finalize")),
    ("PATCH", "/api/v1/namespaces/d/status", {}, ("patch", "", "v1", "namespaces", "", "d", "status")),
    ("GET", "/api/v1/nodes/n1", {}, ("get", "", "v1", "nodes", "", "n1", "")),
    ("POST", "/apis/apps/v1/namespaces/d/deployments", {}, ("create", "apps", "v1", "deployments", "d", "", "")),
    ("POST", "/api/v1/namespaces/d/pods/a/binding", {}, ("create", "", "v1", "pods", "d", "a", "binding")),
    ("DELETE", "/api/v1/namespaces/d/pods/a", {}, ("delete", "", "v1", "pods", "d", "a", "")),
    ("DELETE", "/api/v1/namespaces/d/pods", {}, ("deletecollection", "", "v1", "pods", "d", "", "")),
]


@pytest.mark.parametrize(("method", "path", "query", "expected"), PATHS, ids=lambda value: str(value))
def test_a_path_is_a_request(method, path, query, expected):
    request = routes.parse(method, path, query)
    assert request is not None
    assert (
        request.verb,
        request.group,
        request.version,
        request.resource,
        request.namespace,
        request.name,
        request.subresource,
    ) == expected


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/x/y/z"])
def test_other_paths_are_no_resources(path):
    assert routes.parse("GET", path, {}) is None


def test_an_unknown_method_is_not_allowed():
    with pytest.raises(StatusError) as caught:
        routes.parse("BREW", "/api/v1/pods", {})
    assert caught.value.code == 405


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/api/v1/pods", "v1"), ("/apis/apps/v1/deployments", "apps/v1"), ("/apis/apps", None), ("/version", None)],
)
def test_a_path_names_its_group_and_version(path, expected):
    assert routes.group_version(path) == expected
