"""MutatingAdmissionPolicies: what they change, what they may not, what becomes of their failures."""

import pytest

from control.apiserver.harness import local_api, scenario
from control.apiserver.test_pipeline import DEPLOYMENT, POD, Client, refused

from .test_validating_policies import CONFIG_MAP, CONFIG_MAPS, DEPLOYMENTS, put

PODS = CONFIG_MAPS | {"resources": ["pods"]}


def policy(*expressions, rules=(CONFIG_MAPS,), name="p", **spec):
    mutations = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": each}}
        if each.lstrip().startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": each}}
        for each in expressions
    ]
    rules = [rule | {"operations": ["CREATE", "UPDATE"]} for rule in rules]
    spec = {"matchConstraints": {"resourceRules": rules}, "mutations": mutations, "reinvocationPolicy": "Never"} | spec
    return {"metadata": {"name": name}, "spec": spec}


async def install(api, definition, **binding):
    name = definition["metadata"]["name"]
    await put(api, "mutatingadmissionpolicies", definition)
    binding = {"metadata": {"name": f"b-{name}"}, "spec": {"policyName": name} | binding}
    await put(api, "mutatingadmissionpolicybindings", binding)


SIDECAR = """Object{
  spec: Object.spec{
    initContainers: [
      Object.spec.initContainers{name: "mesh-proxy", image: "mesh/proxy:v1.0.0", restartPolicy: "Always"}
    ]
  }
}"""  # From upstream's documentation.


@scenario
async def test_the_documentations_sidecar_is_merged_into_a_pod():
    async with local_api() as api:
        condition = {"name": "no-sidecar", "expression": "!object.spec.?initContainers.orValue([]).exists(c, true)"}
        await install(api, policy(SIDECAR, rules=[PODS], matchConditions=[condition]))
        client = Client(api)
        made = await client.create("pods", POD)
        assert [each["name"] for each in made["spec"]["initContainers"]] == ["mesh-proxy"]
        assert made["spec"]["initContainers"][0]["terminationMessagePolicy"] == "File"  # defaults too
        assert [each["name"] for each in made["spec"]["containers"]] == ["c"]


CHANGES = {
    "replace": (['[JSONPatch{op: "replace", path: "/data/k", value: "w"}]'], {"k": "w", "n": "7"}),
    "test and remove": (
        ['[JSONPatch{op: "test", path: "/data/k", value: "v"}, JSONPatch{op: "remove", path: "/data/k"}]'],
        {"n": "7"},
    ),
    "escaped key": (
        ['[JSONPatch{op: "add", path: "/data/" + jsonpatch.escapeKey("a~b"), value: "x"}]'.replace("a~b", "a.b")],
        {"k": "v", "n": "7", "a.b": "x"},
    ),
    "conditional": (['object.data.k == "v" ? [JSONPatch{op: "remove", path: "/data/n"}] : []'], {"k": "v"}),
    "apply": (['Object{data: {"z": "y"}}'], {"k": "v", "n": "7", "z": "y"}),
    "in turn": (
        ['Object{data: {"z": "y"}}', '[JSONPatch{op: "replace", path: "/data/z", value: object.data.z + "!"}]'],
        {"k": "v", "n": "7", "z": "y!"},
    ),
    "nothing": (["[]"], {"k": "v", "n": "7"}),
}


@pytest.mark.parametrize("case", CHANGES)
@scenario
async def test_changes(case):
    expressions, data = CHANGES[case]
    async with local_api() as api:
        definition = policy(*expressions)
        if case == "conditional":
            definition["spec"]["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": expressions[0]}}]
        await install(api, definition)
        client = Client(api)
        await client.create("configmaps", CONFIG_MAP)
        assert (await client.call("get", "configmaps", "a"))["data"] == data


FAILURES = {
    "missing": ('[JSONPatch{op: "remove", path: "/data/nope"}]', "JSON patch failed: "),
    "error": ('[JSONPatch{op: "add", path: "/data/x", value: object.data.nope}]', "no such key: nope"),
    "list": ("[1]", "must evaluate to a list of JSONPatch"),
    "type": ("Object{data: 7}", "denied request: "),
    "value": ('[JSONPatch{op: "add", path: "/data/x", value: optional.of(1)}]', "cannot be part of an object"),
}


@pytest.mark.parametrize("case", FAILURES)
@scenario
async def test_failures_refuse_or_are_forgiven(case):
    expression, message = FAILURES[case]
    async with local_api() as api:
        await install(api, policy(expression))
        error = await refused(Client(api).create("configmaps", CONFIG_MAP))
        assert error.code == 422
        assert "policy 'p' with binding 'b-p' denied request: " in error.message
        assert message in error.message
    async with local_api() as api:
        await install(api, policy(expression, failurePolicy="Ignore"))
        made = await Client(api).create("configmaps", CONFIG_MAP)
        assert made["data"] == CONFIG_MAP["data"]


@scenario
async def test_what_is_atomic_is_left_alone_by_configurations():
    async with local_api() as api:
        config = 'Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {"a": "b"}}}}'
        await install(api, policy(config, rules=[DEPLOYMENTS]))
        error = await refused(Client(api).create("deployments", DEPLOYMENT))
        assert "may not mutate atomic arrays, maps or structs: .spec.selector" in error.message


@scenario
async def test_a_policy_that_asks_for_it_sees_what_others_changed_after_it():
    async with local_api() as api:
        append = '[JSONPatch{op: "replace", path: "/data/k", value: object.data.k + "NAME"}]'
        await install(api, policy(append.replace("NAME", "a"), name="a", reinvocationPolicy="IfNeeded"))
        await install(api, policy(append.replace("NAME", "b"), name="b"))
        made = await Client(api).create("configmaps", CONFIG_MAP)
        assert made["data"]["k"] == "vaba"


@scenario
async def test_parameters_and_variables_are_seen():
    async with local_api() as api:
        client = Client(api)
        await client.create("configmaps", {"metadata": {"name": "values"}, "data": {"suffix": "-x"}})
        definition = policy(
            '[JSONPatch{op: "replace", path: "/data/k", value: variables.wanted}]',
            paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
            variables=[{"name": "wanted", "expression": "object.data.k + params.data.suffix"}],
        )
        await install(api, definition, paramRef={"name": "values", "parameterNotFoundAction": "Deny"})
        made = await client.create("configmaps", CONFIG_MAP)
        assert made["data"]["k"] == "v-x"


FAULTS = {
    "none": (policy(), "spec.mutations", "must contain at least one item"),
    "list": (policy("1"), "spec.mutations[0].applyConfiguration.expression", "must evaluate to object"),
    "type": (policy("Other{}"), "spec.mutations[0].applyConfiguration.expression", "undeclared reference to 'Other'"),
    "again": (policy("[]", reinvocationPolicy="Often"), "spec.reinvocationPolicy", "Unsupported value"),
}


@pytest.mark.parametrize("case", FAULTS)
@scenario
async def test_policies_that_cannot_work_are_refused_when_they_are_written(case):
    definition, path, message = FAULTS[case]
    async with local_api() as api:
        error = await refused(put(api, "mutatingadmissionpolicies", definition))
        assert error.code == 422
        assert [cause.field for cause in error.causes] == [path]
        assert message in error.causes[0].message
