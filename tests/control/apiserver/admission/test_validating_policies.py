"""ValidatingAdmissionPolicies: when they hold, what they see, what they say."""

import asyncio
import json

import pytest

from control.apiserver.harness import ADMIN, local_api, scenario
from control.apiserver.test_pipeline import DEPLOYMENT, Client, refused
from minik8s.api.request import Request
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.core import CoreConfig

GROUP = "admissionregistration.k8s.io"
CONFIG_MAPS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}
DEPLOYMENTS = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["*"]}
CONFIG_MAP = {"metadata": {"name": "a"}, "data": {"k": "v", "n": "7"}}


async def put(api, plural, document):
    """Create an object of a policy's kinds, and wait until the cache has it."""
    body = json.dumps(document).encode()
    made = await api.as_user(ADMIN).call(Request("create", GROUP, "v1", plural, body=body))
    await api.reader.list(api.find(GROUP, "v1", plural), Request("list", GROUP, "v1", plural))
    return made


def policy(*expressions, rules=(CONFIG_MAPS,), **spec):
    validations = [each if isinstance(each, dict) else {"expression": each} for each in expressions]
    spec = {"matchConstraints": {"resourceRules": list(rules)}, "validations": validations} | spec
    return {"metadata": {"name": "p"}, "spec": spec}


async def install(api, definition, **binding):
    """A policy and a binding of it."""
    await put(api, "validatingadmissionpolicies", definition)
    spec = {"policyName": definition["metadata"]["name"], "validationActions": ["Deny"]} | binding
    await put(api, "validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": spec})


def world(test):
    @scenario
    async def run():
        async with local_api() as api:
            await test(api, Client(api))

    run.__name__ = test.__name__
    return run


@world
async def test_what_does_not_hold_is_denied_in_upstreams_words(api, client):
    await install(api, policy("object.spec.replicas <= 5", rules=[DEPLOYMENTS]))
    await client.create("deployments", DEPLOYMENT)
    error = await refused(client.patch("deployments", "a", {"spec": {"replicas": 6}}))
    message = (
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: object.spec.replicas <= 5"
    )
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message == f'deployments.apps "a" is forbidden: {message}'
    assert error.status()["details"]["causes"] == [{"reason": "", "message": message}]


# (policy, whether the ConfigMap is refused, part of the message)
HELD = {
    "true": (policy("object.data.k == 'v'"), ""),
    "false": (policy("object.data.k == 'w'"), "failed expression: object.data.k == 'w'"),
    "second": (policy("true", "object.data.k == 'w'"), "failed expression: object.data.k == 'w'"),
    "message": (policy({"expression": "false", "message": "no way"}), "denied request: no way"),
    "said": (
        policy({"expression": "false", "message": "no", "messageExpression": "'n is ' + object.data.n"}),
        "denied request: n is 7",
    ),
    "said badly": (
        policy({"expression": "false", "message": "no", "messageExpression": "object.data.nope"}),
        "denied request: no",
    ),
    "said nothing": (
        policy({"expression": "false", "message": "no", "messageExpression": "''"}),
        "denied request: no",
    ),
    "error": (
        policy("object.data.nope == ''"),
        "expression 'object.data.nope == ''' resulted in error: no such key: nope",
    ),
    "forgiven": (policy("object.data.nope == ''", failurePolicy="Ignore"), ""),
    "created": (policy("request.operation == 'CREATE' && oldObject == null && request.namespace == 'default'"), ""),
    "namespace": (policy("namespaceObject.metadata.name == 'default'"), ""),
    "user": (policy("request.userInfo.username == 'kubernetes-admin'"), ""),
    "variables": (
        policy(
            "variables.n == 7 && variables.twice == 14",
            variables=[
                {"name": "n", "expression": "int(object.data.n)"},
                {"name": "twice", "expression": "variables.n * 2"},
            ],
        ),
        "",
    ),
    "bad variable": (
        policy("variables.n == 7", variables=[{"name": "n", "expression": "int(object.data.k)"}]),
        'composited variable "n" fails to evaluate',
    ),
    "unused variable": (policy("true", variables=[{"name": "n", "expression": "1 / 0"}]), ""),
    "condition": (policy("false", matchConditions=[{"name": "c", "expression": "object.data.k == 'w'"}]), ""),
    "bad condition": (
        policy("true", matchConditions=[{"name": "c", "expression": "object.data.nope == 'w'"}]),
        "resulted in error: no such key: nope",
    ),
    "authorizer": (policy("authorizer.group('').resource('pods').namespace('x').check('list').allowed()"), ""),
    "authorizer of others": (
        policy("authorizer.serviceAccount('a', 'b').path('/x').check('get').allowed()"),
        "failed expression",
    ),
    "request resource": (policy("authorizer.requestResource.check('custom').allowed()"), ""),
    "excluded": (
        policy("false", matchConstraints={"resourceRules": [CONFIG_MAPS], "excludeResourceRules": [CONFIG_MAPS]}),
        "",
    ),
    "by name": (policy("false", rules=[CONFIG_MAPS | {"resourceNames": ["b"]}]), ""),
    "expensive": (
        policy("lists.range(2000).all(x, lists.range(2000).all(y, x + y >= 0))"),
        "actual cost limit exceeded",
    ),
}


@pytest.mark.parametrize("case", HELD)
@scenario
async def test_policies(case):
    definition, message = HELD[case]
    async with local_api() as api:
        await install(api, definition)
        if not message:
            await Client(api).create("configmaps", CONFIG_MAP)
        else:
            assert message in (await refused(Client(api).create("configmaps", CONFIG_MAP))).message


@pytest.mark.parametrize(
    ("reason", "code"), [("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413)]
)
@scenario
async def test_a_rule_chooses_the_reason(reason, code):
    async with local_api() as api:
        await install(api, policy({"expression": "false", "reason": reason}))
        error = await refused(Client(api).create("configmaps", CONFIG_MAP))
        assert (error.code, error.reason) == (code, reason)


@world
async def test_updates_and_deletions_see_the_old_object(api, client):
    await install(api, policy("oldObject == null || object == null || object.data.k == oldObject.data.k"))
    await client.create("configmaps", CONFIG_MAP)
    await refused(client.patch("configmaps", "a", {"data": {"k": "w"}}))
    await client.patch("configmaps", "a", {"data": {"z": "w"}})
    await client.call("delete", "configmaps", "a")


@world
async def test_actions_warn_and_audit(api, client):
    definition = policy("false", auditAnnotations=[{"key": "who", "valueExpression": "object.metadata.name"}])
    await install(api, definition, validationActions=["Warn", "Audit"])
    body = json.dumps(CONFIG_MAP).encode()
    request = Request("create", "", "v1", "configmaps", "default", body=body)
    response = await api.as_user(ADMIN).call(request)
    assert response.warnings == (
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false",
    )
    assert request.annotations["p/who"] == "a"
    (failure,) = json.loads(request.annotations["validation.policy.admission.k8s.io/validation_failure"])
    assert failure == {
        "message": "failed expression: false",
        "policy": "p",
        "binding": "b",
        "expressionIndex": 0,
        "validationActions": ["Warn", "Audit"],
    }


@scenario
async def test_the_plugin_can_be_switched_off():
    async with local_api(config=CoreConfig(admission=AdmissionConfig(disabled=["ValidatingAdmissionPolicy"]))) as api:
        await install(api, policy("false"))
        await Client(api).create("configmaps", CONFIG_MAP)


@world
async def test_a_policy_without_a_binding_does_nothing(api, client):
    await put(api, "validatingadmissionpolicies", policy("false"))
    await client.create("configmaps", CONFIG_MAP)


@world
async def test_a_binding_narrows_where_a_policy_holds(api, client):
    await client.create("namespaces", {"metadata": {"name": "strict", "labels": {"env": "prod"}}})
    await install(api, policy("false"), matchResources={"namespaceSelector": {"matchLabels": {"env": "prod"}}})
    await client.create("configmaps", CONFIG_MAP)
    await refused(client.create("configmaps", CONFIG_MAP, namespace="strict"))


PARAMETERS = {
    "named": ({"name": "limits", "namespace": "default"}, "failed expression"),
    "named in the object's namespace": ({"name": "limits"}, "failed expression"),
    "selected": ({"selector": {"matchLabels": {"of": "limits"}}}, "failed expression"),
    "all": ({"selector": {}}, "failed expression"),
    "missing": ({"name": "nope"}, "no params found for policy binding with `Deny` parameterNotFoundAction"),
    "missing, allowed": ({"name": "nope", "parameterNotFoundAction": "Allow"}, ""),
    "none selected": ({"selector": {"matchLabels": {"of": "x"}}, "parameterNotFoundAction": "Allow"}, ""),
}


@pytest.mark.parametrize("case", PARAMETERS)
@scenario
async def test_parameters(case):
    reference, message = PARAMETERS[case]
    async with local_api() as api:
        client = Client(api)
        labels = {"of": "limits"}
        await client.create("configmaps", {"metadata": {"name": "limits", "labels": labels}, "data": {"max": "5"}})
        definition = policy(
            "int(object.data.n) <= int(params.data.max)", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}
        )
        await install(api, definition, paramRef={"parameterNotFoundAction": "Deny"} | reference)
        if message:
            assert message in (await refused(client.create("configmaps", CONFIG_MAP))).message
        else:
            await client.create("configmaps", CONFIG_MAP)


@world
async def test_a_parameter_kind_nobody_serves_is_told(api, client):
    definition = policy("params == null", paramKind={"apiVersion": "x.example.com/v1", "kind": "Limit"})
    reference = {"name": "a", "parameterNotFoundAction": "Allow"}
    await install(api, definition, paramRef=reference)
    error = await refused(client.create("configmaps", CONFIG_MAP))
    assert "failed to configure binding: paramKind kind `x.example.com/v1, Kind=Limit` not known" in error.message


@world
async def test_policies_do_not_hold_for_the_configuration_of_admission(api, client):
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    await install(api, policy("false", rules=[rule]))
    for plural, name in (("validatingadmissionpolicybindings", "b"), ("validatingadmissionpolicies", "p")):
        await api.as_user(ADMIN).call(Request("delete", GROUP, "v1", plural, name=name))
        await asyncio.sleep(0.05)
    await client.create("configmaps", CONFIG_MAP)


@world
async def test_the_authorizer_answers_for_the_user_who_asks(api, client):
    check = "authorizer.group('').resource('secrets').namespace('kube-system').check('get')"
    await install(api, policy({"expression": f"{check}.allowed()", "messageExpression": f"'no: ' + {check}.reason()"}))
    await client.create("configmaps", CONFIG_MAP)
    group = "rbac.authorization.k8s.io"
    for plural, document in (
        (
            "roles",
            {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]},
        ),
        (
            "rolebindings",
            {
                "metadata": {"name": "r"},
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "ann"}],
            },
        ),
    ):
        body = json.dumps(document).encode()
        await api.as_user(ADMIN).call(Request("create", group, "v1", plural, "default", body=body))
        await api.reader.list(api.find(group, "v1", plural), Request("list", group, "v1", plural))
    ann = Client(api, User("ann", ("system:authenticated",)))
    error = await refused(ann.create("configmaps", CONFIG_MAP | {"metadata": {"name": "z"}}))
    assert "denied request: no:" in error.message


FAULTS = {
    "syntax": (
        policy("object.x =="),
        "spec.validations[0].expression",
        'Invalid value: "object.x ==": compilation failed: ERROR: <input>:1:12: Syntax error:',
    ),
    "type": (policy("1 + 1"), "spec.validations[0].expression", "compilation failed: must evaluate to bool"),
    "name": (policy("objekt.x"), "spec.validations[0].expression", "undeclared reference to 'objekt'"),
    "variable": (policy("variables.x == 1"), "spec.validations[0].expression", "undefined field 'x'"),
    "order": (
        policy("true", variables=[{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]),
        "spec.variables[0].expression",
        "undefined field 'b'",
    ),
    "message": (
        policy({"expression": "true", "messageExpression": "1"}),
        "spec.validations[0].messageExpression",
        "must evaluate to string",
    ),
    "condition": (
        policy("true", matchConditions=[{"name": "c", "expression": "'a'"}]),
        "spec.matchConditions[0].expression",
        "must evaluate to bool",
    ),
    "audit": (
        policy("true", auditAnnotations=[{"key": "k", "valueExpression": "1"}]),
        "spec.auditAnnotations[0].valueExpression",
        "must evaluate to string or null_type",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
@scenario
async def test_policies_that_cannot_work_are_refused_when_they_are_written(case):
    definition, path, message = FAULTS[case]
    async with local_api() as api:
        error = await refused(put(api, "validatingadmissionpolicies", definition))
        assert error.code == 422
        assert [cause.field for cause in error.causes] == [path]
        assert message in error.causes[0].message


CHECKED = {
    "object.spec.replicas <= 5": "",
    "object.spec.template.spec.containers.all(c, c.image.startsWith('a'))": "",
    "object.metadata.labels['a'] == 'b' && oldObject.spec.paused": "",
    "object.spec.replica <= 5": "undefined field 'replica'",
    "object.spec.template.spec.containers.all(c, c.img == '')": "undefined field 'img'",
    "object.spec.replicas + 'a' == ''": "found no matching overload for '_+_' applied to '(int, string)'",
    "object.spec.replicas == 'a'": "found no matching overload for '_==_' applied to '(int, string)'",
    "variables.n > 1": "",
    "variables.n.startsWith('a')": "found no matching overload for 'startsWith'",
    "params.whatever && request.whatever && namespaceObject.whatever": "",
}


@pytest.mark.parametrize("expression", CHECKED)
@scenario
async def test_fields_that_do_not_exist_are_told_in_the_status(expression):
    warning = CHECKED[expression]
    async with local_api() as api:
        variables = [{"name": "n", "expression": "object.spec.replicas"}]
        made = await put(
            api,
            "validatingadmissionpolicies",
            policy("true", expression, rules=[DEPLOYMENTS], variables=variables),
        )
        status = json.loads(made.body)["status"]
        assert status["observedGeneration"] == 1
        if not warning:
            assert status["typeChecking"] == {}
        else:
            (found,) = status["typeChecking"]["expressionWarnings"]
            assert found["fieldRef"] == "spec.validations[1].expression"
            assert found["warning"].startswith("apps/v1, Kind=Deployment: ERROR: <input>:1:")
            assert warning in found["warning"]


@world
async def test_the_status_of_a_policy_follows_its_spec(api, client):
    await put(api, "validatingadmissionpolicies", policy("object.spec.nope == 1", rules=[DEPLOYMENTS]))
    change = [{"op": "replace", "path": "/spec/validations/0/expression", "value": "true"}]
    request = Request(
        "patch",
        GROUP,
        "v1",
        "validatingadmissionpolicies",
        name="p",
        body=json.dumps(change).encode(),
        content_type="application/json-patch+json",
    )
    made = json.loads((await api.as_user(ADMIN).call(request)).body)
    assert made["metadata"]["generation"] == 2
    assert made["status"] == {"observedGeneration": 2, "typeChecking": {}}
