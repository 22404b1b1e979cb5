"""What users learn of their rights and of others': the four reviews."""

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import ADMIN, User
from tests.control.apiserver.authz.test_rbac import AUTHENTICATED, BOB, bind, user
from tests.control.apiserver.harness import local_core, scenario

GROUP = "authorization.k8s.io"
NODE = User("system:node:n1", ("system:nodes", AUTHENTICATED))


async def ask(core, who, plural, namespace="", **document):
    body = msgspec.json.encode(document)
    answer = await core.api.as_user(who).call(Request("create", GROUP, "v1", plural, namespace, body=body))
    assert answer.code == 201
    return msgspec.json.decode(answer.body)


@scenario
async def test_everybody_may_ask_about_themselves():
    async with local_core() as core:
        await bind(core, "view", user("bob"), namespace="default")
        may = {"namespace": "default", "verb": "get", "resource": "pods"}
        answer = await ask(core, BOB, "selfsubjectaccessreviews", spec={"resourceAttributes": may})
        assert answer["spec"] == {"resourceAttributes": may}
        reason = 'RBAC: allowed by RoleBinding "b/default" of ClusterRole "view" to User "bob"'
        assert answer["status"] == {"allowed": True, "reason": reason}
        answer = await ask(core, BOB, "selfsubjectaccessreviews", spec={"resourceAttributes": may | {"verb": "delete"}})
        assert answer["status"] == {"allowed": False}
        answer = await ask(core, ADMIN, "selfsubjectaccessreviews", spec={"resourceAttributes": may})
        assert answer["status"] == {"allowed": True}
        path = {"nonResourceAttributes": {"verb": "get", "path": "/apis"}}
        assert (await ask(core, BOB, "selfsubjectaccessreviews", spec=path))["status"]["allowed"]


@scenario
async def test_about_others_asks_who_may():
    async with local_core() as core:
        await bind(core, "view", {"kind": "Group", "name": "team"})
        spec = {"user": "x", "groups": ["team"], "resourceAttributes": {"verb": "list", "resource": "pods"}}
        assert (await ask(core, ADMIN, "subjectaccessreviews", spec=spec))["status"]["allowed"]
        assert not (await ask(core, ADMIN, "subjectaccessreviews", spec=spec | {"groups": []}))["status"]["allowed"]
        with pytest.raises(StatusError) as caught:
            await ask(core, BOB, "subjectaccessreviews", spec=spec)
        assert caught.value.code == 403


@scenario
async def test_a_local_review_is_about_its_namespace():
    async with local_core() as core:
        await bind(core, "admin", user("bob"), namespace="default")
        attributes = {"verb": "get", "resource": "pods", "namespace": "default"}
        spec = {"user": "bob", "resourceAttributes": attributes}
        answer = await ask(core, BOB, "localsubjectaccessreviews", "default", spec=spec)
        assert answer["status"]["allowed"]
        with pytest.raises(StatusError, match=r"spec.resourceAttributes.namespace must match namespace: default"):
            spec["resourceAttributes"] = attributes | {"namespace": "kube-system"}
            await ask(core, BOB, "localsubjectaccessreviews", "default", spec=spec)


@pytest.mark.parametrize(
    ("plural", "spec", "why"),
    [
        ("selfsubjectaccessreviews", {}, "exactly one of nonResourceAttributes or resourceAttributes"),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/"}},
            "cannot be specified in combination with resourceAttributes",
        ),
        ("subjectaccessreviews", {"resourceAttributes": {"verb": "get"}}, "at least one of user or group must be"),
    ],
)
@scenario
async def test_half_a_question_is_invalid(plural, spec, why):
    async with local_core() as core:
        with pytest.raises(StatusError, match=why) as caught:
            await ask(core, ADMIN, plural, spec=spec)
        assert caught.value.reason == "Invalid"


@scenario
async def test_rules_of_oneself_are_listed():
    async with local_core() as core:
        answer = await ask(core, ADMIN, "selfsubjectrulesreviews", spec={"namespace": "default"})
        status = answer["status"]
        assert (answer["spec"], status["incomplete"]) == ({}, False)
        assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in status["resourceRules"]
        assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in status["nonResourceRules"]
        with pytest.raises(StatusError, match="no namespace on request"):
            await ask(core, ADMIN, "selfsubjectrulesreviews", spec={})


@scenario
async def test_of_a_node_not_all_rules_can_be_listed():
    async with local_core() as core:
        status = (await ask(core, NODE, "selfsubjectrulesreviews", spec={"namespace": "default"}))["status"]
        why = "node authorizer does not support user rule resolution"
        assert (status["incomplete"], status["evaluationError"]) == (True, why)


@scenario
async def test_a_missing_role_is_told_beside_the_rules():
    async with local_core() as core:
        await bind(core, "gone", user("bob"))
        status = (await ask(core, BOB, "selfsubjectrulesreviews", spec={"namespace": "default"}))["status"]
        assert status["evaluationError"] == 'clusterrole.rbac.authorization.k8s.io "gone" not found'


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"rawSelector": "spec.nodeName=n1"}, True),
        ({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}, True),
        ({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1", "n2"]}]}, False),
        ({"requirements": [{"key": "spec.nodeName", "operator": "NotIn", "values": ["n1"]}]}, False),
        (None, False),
    ],
)
@scenario
async def test_selectors_count(selector, expected):
    async with local_core() as core:
        attributes = {"verb": "list", "resource": "pods"} | ({"fieldSelector": selector} if selector else {})
        answer = await ask(core, NODE, "selfsubjectaccessreviews", spec={"resourceAttributes": attributes})
        assert answer["status"]["allowed"] is expected
