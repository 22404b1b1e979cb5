"""Nobody gives what they do not have: writes of roles and bindings by users that may write them."""

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import MERGE_PATCH, Request
from minik8s.control.apiserver.authn import ADMIN, User
from minik8s.control.apiserver.authz.bootstrap_policy import parse_rule
from tests.control.apiserver.authz.test_rbac import AUTHENTICATED, RBAC, bind, user, write
from tests.control.apiserver.harness import local_core, scenario

EVE = User("eve", ("team", AUTHENTICATED))
WRITES = [parse_rule(f"create,update,patch,delete @{RBAC} roles clusterroles rolebindings clusterrolebindings")]


async def with_rights(core, *texts, namespace=""):
    """Eve may write all of RBAC; and what the rules say."""
    await write(core, "create", "clusterroles", name="writer", rules=WRITES)
    await bind(core, "writer", user("eve"), name="writer")
    if texts:
        await write(core, "create", "clusterroles", name="more", rules=[parse_rule(text) for text in texts])
        await bind(core, "more", user("eve"), name="more", namespace=namespace)


async def as_eve(core, verb, plural, namespace="", name="r", kind="", **document):
    if verb == "create":
        document["metadata"] = {"name": name}
    body = msgspec.json.encode(document)
    target = "" if verb == "create" else name
    content = {"content_type": MERGE_PATCH} if verb == "patch" else {}
    return await core.api.as_user(EVE).call(Request(verb, RBAC, "v1", plural, namespace, target, body=body, **content))


def binding(role, *, kind="ClusterRole"):
    return {"roleRef": {"kind": kind, "name": role, "apiGroup": RBAC}, "subjects": [user("bob")]}


@pytest.mark.parametrize(
    ("held", "given", "expected"),
    [
        ("get pods", "get pods", True),
        ("get pods", "get pods =a", True),
        ("get pods", "get,list pods", False),
        ("get pods", "get *", False),
        ("* @* *", "delete @apps deployments", True),
        ("get @* *", "get /metrics", False),
        ("get /metrics", "get /metrics", True),
        (f"escalate @{RBAC} clusterroles", "* @* *", True),
        (f"escalate @{RBAC} clusterroles =r", "* @* *", False),
        (f"escalate @{RBAC} roles", "* @* *", False),
    ],
)
@scenario
async def test_a_role_holds_at_most_what_its_writer_has(held, given, expected):
    async with local_core() as core:
        await with_rights(core, held)
        try:
            await as_eve(core, "create", "clusterroles", rules=[parse_rule(given)])
        except StatusError as error:
            assert (error.code, expected) == (403, False)
        else:
            assert expected


@scenario
async def test_a_refusal_says_what_is_missing():
    async with local_core() as core:
        await with_rights(core, "get pods")
        rules = [parse_rule("get,list,watch pods"), parse_rule("get secrets")]
        with pytest.raises(StatusError) as caught:
            await as_eve(core, "create", "roles", "default", rules=rules)
        assert caught.value.message == (
            'roles.rbac.authorization.k8s.io "r" is forbidden: user "eve" (groups=["team" "system:authenticated"]) '
            "is attempting to grant RBAC permissions not currently held:\n"
            '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}\n'
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
        )


@scenario
async def test_rights_of_one_namespace_are_given_there_alone():
    async with local_core() as core:
        await with_rights(core, "get pods", namespace="default")
        rules = [parse_rule("get pods")]
        await as_eve(core, "create", "roles", "default", rules=rules)
        for place in (("roles", "kube-system"), ("clusterroles", "")):
            with pytest.raises(StatusError, match="not currently held"):
                await as_eve(core, "create", *place, rules=rules)


@scenario
async def test_a_change_is_checked_whichever_way_it_is_made():
    async with local_core() as core:
        await with_rights(core, "get pods")
        await as_eve(core, "create", "roles", "default", rules=[parse_rule("get pods")])
        more = {"rules": [parse_rule("* @* *")]}
        with pytest.raises(StatusError, match="not currently held"):
            await as_eve(core, "patch", "roles", "default", **more)
        with pytest.raises(StatusError, match="not currently held"):
            await as_eve(core, "update", "roles", "default", metadata={"name": "r"}, **more)
        await write(core, "patch", "roles", "default", "r", **more)
        with pytest.raises(StatusError, match="not currently held"):  # Even if the rules stay.
            await as_eve(core, "patch", "roles", "default", metadata={"labels": {"a": "b"}})
        await as_eve(core, "patch", "roles", "default", metadata={"finalizers": ["example.com/f"]})
        await as_eve(core, "patch", "roles", "default", metadata={"finalizers": None})


@pytest.mark.parametrize(("name", "expected"), [("r", True), ("other", False)])
@scenario
async def test_a_role_that_is_there_may_be_escalated_by_its_name(name, expected):
    async with local_core() as core:
        await with_rights(core, f"escalate @{RBAC} clusterroles ={name}")
        await write(core, "create", "clusterroles", name="r", rules=[])
        try:
            await as_eve(core, "patch", "clusterroles", rules=[parse_rule("* @* *")])
        except StatusError as error:
            assert (error.code, expected) == (403, False)
        else:
            assert expected


@pytest.mark.parametrize(
    ("held", "namespace", "expected"),
    [
        ("get pods", "", True),
        ("get pods", "default", True),
        ("list pods", "default", False),
        (f"bind @{RBAC} clusterroles", "", True),
        (f"bind @{RBAC} clusterroles =bound", "default", True),
        (f"bind @{RBAC} clusterroles =other", "", False),
        (f"bind @{RBAC} roles", "default", False),
    ],
)
@scenario
async def test_a_binding_gives_at_most_what_its_writer_has(held, namespace, expected):
    async with local_core() as core:
        await with_rights(core, held)
        await write(core, "create", "clusterroles", name="bound", rules=[parse_rule("get pods")])
        plural = "rolebindings" if namespace else "clusterrolebindings"
        try:
            await as_eve(core, "create", plural, namespace, **binding("bound"))
        except StatusError as error:
            assert (error.code, expected) == (403, False)
            assert "not currently held" in error.message
        else:
            assert expected


@scenario
async def test_a_role_that_is_not_there_cannot_be_bound():
    async with local_core() as core:
        await with_rights(core)
        with pytest.raises(StatusError) as caught:
            await as_eve(core, "create", "rolebindings", "default", **binding("gone", kind="Role"))
        assert (caught.value.code, caught.value.message) == (404, 'roles.rbac.authorization.k8s.io "gone" not found')
        await core.api.as_user(ADMIN).call(
            Request(
                "create",
                RBAC,
                "v1",
                "rolebindings",
                "default",
                body=msgspec.json.encode(binding("gone", kind="Role") | {"metadata": {"name": "r"}}),
            )
        )


@scenario
async def test_aggregating_takes_every_right():
    async with local_core() as core:
        await with_rights(core, "get,list,watch @* *")
        aggregation = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
        with pytest.raises(StatusError, match="must have cluster-admin privileges to use the aggregationRule"):
            await as_eve(core, "create", "clusterroles", aggregationRule=aggregation)
        await bind(core, "cluster-admin", user("eve"), name="all")
        await as_eve(core, "create", "clusterroles", aggregationRule=aggregation)
