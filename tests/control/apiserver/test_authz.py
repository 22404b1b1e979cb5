"""Who may do what, and who a certificate says one is."""

import asyncio

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import ADMIN, ANONYMOUS, User
from minik8s.control.apiserver.authz.attributes import Attributes, of_request, require
from minik8s.control.apiserver.authz.modes import DEFAULT_MODES, build

NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))
SCHEDULER = User("system:kube-scheduler", ("system:authenticated",))
PROXY = User("system:kube-proxy", ("system:authenticated",))
STRANGER = User("bob", ("system:authenticated",))


CHAIN = build(DEFAULT_MODES)


def ask(attributes):
    asyncio.run(require(CHAIN, attributes))


def allowed(user, verb, resource, subresource=""):
    try:
        ask(of_request(user, Request(verb, "", "v1", resource, "default", "a", subresource)))
    except StatusError as error:
        assert error.reason == "Forbidden"
        return False
    return True


@pytest.mark.parametrize(
    ("user", "verb", "resource", "subresource", "expected"),
    [
        (ADMIN, "deletecollection", "pods", "", True),
        (ANONYMOUS, "get", "pods", "", False),
        (STRANGER, "list", "pods", "", False),
        (SCHEDULER, "list", "pods", "", True),
        (SCHEDULER, "create", "pods", "binding", True),
        (SCHEDULER, "update", "leases", "", True),
        (SCHEDULER, "create", "events", "", True),
        (SCHEDULER, "delete", "pods", "", False),
        (SCHEDULER, "list", "secrets", "", False),
        (NODE, "get", "secrets", "", False),
        (NODE, "patch", "pods", "status", True),
        (NODE, "patch", "nodes", "status", True),
        (NODE, "create", "pods", "binding", False),
        (NODE, "delete", "deployments", "", False),
        (PROXY, "watch", "endpointslices", "", True),
        (PROXY, "list", "configmaps", "", False),
        (PROXY, "patch", "services", "", False),
    ],
)
def test_the_table_says_who_may(user, verb, resource, subresource, expected):
    assert allowed(user, verb, resource, subresource) is expected


def test_a_refusal_says_who_cannot_do_what_where():
    with pytest.raises(StatusError) as caught:
        ask(of_request(STRANGER, Request("list", "apps", "v1", "deployments", "default")))
    assert caught.value.message == (
        'deployments.apps is forbidden: User "bob" cannot list resource "deployments" in API group "apps" '
        'in the namespace "default"'
    )
    with pytest.raises(StatusError, match="at the cluster scope"):
        ask(of_request(STRANGER, Request("list", "", "v1", "pods")))


@pytest.mark.parametrize(
    ("user", "path", "expected"),
    [
        (ANONYMOUS, "/version", True),
        (ANONYMOUS, "/readyz", True),
        (ANONYMOUS, "/livez/ping", True),
        (ANONYMOUS, "/apis", False),
        (ANONYMOUS, "/metrics", False),
        (ANONYMOUS, "/versions", False),
        (STRANGER, "/apis", True),
        (STRANGER, "/openapi/v3", True),
        (STRANGER, "/metrics", False),
        (ADMIN, "/metrics", True),
    ],
)
def test_paths_that_are_no_resources(user, path, expected):
    try:
        ask(Attributes(user, "get", path=path))
    except StatusError as error:
        assert error.message == f'forbidden: User "{user.name}" cannot get path "{path}"'
        assert not expected
    else:
        assert expected
