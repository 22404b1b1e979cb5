"""Server-side apply through the whole write path: ownership, conflicts, what goes when it is given up."""

import functools
import inspect
import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, Request
from minik8s.control.apiserver.authn import User
from tests.control.apiserver.harness import ADMIN, local_api, scenario

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Cluster:
    """One user's calls, short enough to read."""

    def __init__(self, api):
        self._handler = api.as_user(ADMIN)

    async def call(self, verb, plural, name="", body=None, *, subresource="", content_type="application/json", **query):
        group, version = {
            "deployments": ("apps", "v1"),
            "horizontalpodautoscalers": ("autoscaling", query.pop("version", "v2")),
        }.get(plural, ("", "v1"))
        namespace = "" if plural == "nodes" else "default"
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        agent = query.pop("agent", "")
        query = {key: str(value) for key, value in query.items()}
        request = Request(
            verb, group, version, plural, namespace, name, subresource, query, raw, content_type, user_agent=agent
        )
        response = await self._handler.call(request)
        return json.loads(response.body)

    async def apply(self, plural, body, manager="me", **query):
        name = body["metadata"]["name"]
        return await self.call("patch", plural, name, body, content_type=APPLY_PATCH, fieldManager=manager, **query)

    async def create(self, plural, body, manager="maker"):
        return await self.call("create", plural, body=body, fieldManager=manager)

    async def merge(self, plural, name, body, manager="other", **query):
        return await self.call("patch", plural, name, body, content_type=MERGE_PATCH, fieldManager=manager, **query)


def cluster(test):
    """A test of one apiserver."""

    @functools.wraps(test)
    async def run(*args, **kwargs):
        async with local_api() as api:
            await test(Cluster(api), *args, **kwargs)

    wanted = inspect.signature(test)
    run.__signature__ = wanted.replace(parameters=list(wanted.parameters.values())[1:])
    return scenario(run)


def configmap(data=None, **metadata):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return document | ({"data": data} if data is not None else {})


def deployment(name="web", replicas=3, image="nginx", **metadata):
    container = {"name": "c", "image": image, "ports": [{"containerPort": 80}]}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **metadata}, "spec": spec}


def owners(document):
    """manager[/subresource] (Apply in capitals) → fields."""
    found = {}
    for entry in document["metadata"].get("managedFields", ()):
        name = entry["manager"].upper() if entry["operation"] == "Apply" else entry["manager"]
        found["/".join(filter(None, (name, entry.get("subresource"))))] = entry["fieldsV1"]
    return found


async def refused(call):
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value


@cluster
async def test_an_apply_creates_what_is_not_there_and_owns_what_it_says(api):
    made = await api.apply("deployments", deployment())
    ports = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    container = {".": {}, "f:image": {}, "f:name": {}, "f:ports": ports}
    template = {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {'k:{"name":"c"}': container}}}
    assert owners(made) == {"ME": {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": template}}}
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


@cluster
async def test_the_same_apply_twice_is_one_write(api):
    first = await api.apply("deployments", deployment())
    second = await api.apply("deployments", deployment())
    assert second == first


@cluster
async def test_what_one_manager_set_is_a_conflict_for_the_next(api):
    await api.apply("deployments", deployment(), "kubectl")
    error = await refused(api.apply("deployments", deployment(replicas=5), "other"))
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas'
    assert [(cause.reason, cause.message, cause.field) for cause in error.causes] == [
        ("FieldManagerConflict", 'conflict with "kubectl"', ".spec.replicas")
    ]
    assert "name" not in error.status()["details"]


@cluster
async def test_several_conflicts_are_listed_by_manager(api):
    await api.apply("configmaps", configmap({"a": "1", "b": "1"}), "first")
    await api.merge("configmaps", "a", {"data": {"c": "1"}}, "second")
    error = await refused(api.apply("configmaps", configmap({"a": "2", "b": "2", "c": "2"}), "third"))
    assert error.message == (
        'Apply failed with 3 conflicts: conflicts with "first":\n- .data.a\n- .data.b\n'
        'conflicts with "second" using v1:\n- .data.c'
    )


@cluster
async def test_force_takes_the_fields_from_whoever_had_them(api):
    await api.apply("deployments", deployment(), "kubectl")
    forced = await api.apply("deployments", deployment(replicas=5), "other", force="true")
    assert forced["spec"]["replicas"] == 5
    assert "f:replicas" not in owners(forced)["KUBECTL"]["f:spec"]
    assert "f:replicas" in owners(forced)["OTHER"]["f:spec"]


@cluster
async def test_equal_values_are_shared_and_stay_until_the_last_owner_gives_them_up(api):
    await api.apply("configmaps", configmap({"a": "1", "b": "1"}), "first")
    await api.apply("configmaps", configmap({"a": "1"}), "second")
    kept = await api.apply("configmaps", configmap({"b": "1"}), "first")
    assert kept["data"] == {"a": "1", "b": "1"}
    gone = await api.apply("configmaps", configmap({}), "second")
    assert gone["data"] == {"b": "1"}
    assert owners(gone) == {"FIRST": {"f:data": {"f:b": {}}}, "SECOND": {"f:data": {}}}


@cluster
async def test_what_an_updater_owns_is_not_taken_out(api):
    await api.apply("configmaps", configmap({"a": "1"}), "first")
    await api.merge("configmaps", "a", {"data": {"a": "2"}}, "second")
    kept = await api.apply("configmaps", configmap(), "first")
    assert kept["data"] == {"a": "2"}
    assert owners(kept) == {"second": {"f:data": {"f:a": {}}}}


@cluster
async def test_an_element_of_a_list_goes_with_its_owner(api):
    document = deployment()
    document["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "x"})
    await api.apply("deployments", document)
    after = await api.apply("deployments", deployment())
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["c"]


@cluster
async def test_an_optional_object_goes_with_its_last_field(api):
    document = deployment()
    document["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 5}
    document["spec"]["strategy"] = {"type": "Recreate"}
    await api.apply("deployments", document)
    after = await api.apply("deployments", deployment())
    assert after["spec"]["template"]["spec"]["securityContext"] == {}
    assert after["spec"]["strategy"]["type"] == "RollingUpdate"


@cluster
async def test_sets_merge_value_by_value(api):
    await api.apply("configmaps", configmap(finalizers=["a/a"]), "first")
    both = await api.apply("configmaps", configmap(finalizers=["b/b"]), "second")
    assert both["metadata"]["finalizers"] == ["a/a", "b/b"]
    assert owners(both)["FIRST"] == {"f:metadata": {"f:finalizers": {'v:"a/a"': {}}}}
    one = await api.apply("configmaps", configmap(), "first")
    assert one["metadata"]["finalizers"] == ["b/b"]


@cluster
async def test_an_update_takes_ownership_of_what_it_changes_only(api):
    made = await api.create("configmaps", configmap({"a": "1", "b": "1"}))
    assert owners(made) == {"maker": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}}
    made["data"] = {"a": "2", "b": "1"}
    after = await api.call("update", "configmaps", "a", made, fieldManager="editor")
    assert owners(after) == {"maker": {"f:data": {".": {}, "f:b": {}}}, "editor": {"f:data": {"f:a": {}}}}


@cluster
async def test_the_manager_is_the_program_that_calls_if_it_says_no_name(api):
    made = await api.call("create", "configmaps", body=configmap({"a": "1"}), agent="helm/3.1 (linux)")
    assert list(owners(made)) == ["helm"]


@cluster
async def test_a_write_that_changes_nothing_changes_no_time(api):
    made = await api.create("configmaps", configmap({"a": "1"}))
    again = await api.merge("configmaps", "a", {"data": {"a": "1"}}, "other")
    assert again == made


@cluster
async def test_status_and_scale_have_entries_of_their_own(api):
    await api.create("deployments", deployment())
    await api.merge("deployments", "web", {"status": {"replicas": 1}}, "controller", subresource="status")
    await api.merge("deployments", "web", {"spec": {"replicas": 7}}, "kubectl", subresource="scale")
    after = await api.call("get", "deployments", "web")
    assert owners(after)["controller/status"] == {"f:status": {"f:replicas": {}}}
    assert owners(after)["kubectl/scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(after)["maker"]["f:spec"]
    scale = next(entry for entry in after["metadata"]["managedFields"] if entry.get("subresource") == "scale")
    assert (scale["apiVersion"], "time" in scale) == ("apps/v1", False)


@cluster
async def test_applying_the_object_does_not_own_its_status_nor_the_reverse(api):
    made = await api.apply("deployments", deployment() | {"status": {"replicas": 9}})
    assert "f:status" not in owners(made)["ME"]
    assert made.get("status", {}).get("replicas", 0) == 0
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "status": {"replicas": 2}}
    after = await api.apply("deployments", document | {"spec": {"replicas": 9}}, "ctl", subresource="status")
    assert owners(after)["CTL/status"] == {"f:status": {"f:replicas": {}}}
    assert (after["spec"]["replicas"], after["status"]["replicas"]) == (3, 2)


@cluster
async def test_a_scale_can_be_applied(api):
    await api.create("deployments", deployment())
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 4}}
    error = await refused(api.apply("deployments", scale, "hpa", subresource="scale"))
    assert error.message == 'Apply failed with 1 conflict: conflict with "maker" using apps/v1: .spec.replicas'
    await api.apply("deployments", scale, "hpa", subresource="scale", force="true")
    after = await api.call("get", "deployments", "web")
    assert (after["spec"]["replicas"], owners(after)["HPA/scale"]) == (4, {"f:spec": {"f:replicas": {}}})


@cluster
async def test_versions_are_translated_when_entries_are_compared(api):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    kind, metadata = "HorizontalPodAutoscaler", {"name": "h"}
    first = {"apiVersion": "autoscaling/v1", "kind": kind, "metadata": metadata}
    first["spec"] = {"scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 50}
    await api.apply("horizontalpodautoscalers", first, "one", version="v1")
    second = {"apiVersion": "autoscaling/v2", "kind": kind, "metadata": metadata, "spec": {"maxReplicas": 6}}
    error = await refused(api.apply("horizontalpodautoscalers", second, "two"))
    assert error.message == 'Apply failed with 1 conflict: conflict with "one": .spec.maxReplicas'


@cluster
async def test_more_than_ten_updaters_are_joined(api):
    await api.create("configmaps", configmap({"base": "1"}))
    for number in range(12):
        after = await api.merge("configmaps", "a", {"data": {f"k{number:02}": "1"}}, f"m{number:02}")
    assert len(owners(after)) == 10
    assert len(owners(after)["ancient-changes"]["f:data"]) > 3
    fields = {name for entry in owners(after).values() for name in entry["f:data"]}
    assert fields == {".", "f:base", *(f"f:k{number:02}" for number in range(12))}


@cluster
async def test_an_empty_entry_forgets_all_and_an_empty_list_nothing(api):
    await api.create("configmaps", configmap({"a": "1"}))

    async def replace(value):
        operation = [{"op": "replace", "path": "/metadata/managedFields", "value": value}]
        return await api.call("patch", "configmaps", "a", operation, content_type=JSON_PATCH)

    assert list(owners(await replace([]))) == ["maker"]
    assert list(owners(await replace([{"manager": "x", "operation": "Nonsense"}]))) == ["maker"]
    assert owners(await replace([{}])) == {}
    untracked = await api.merge("configmaps", "a", {"data": {"a": "2"}})
    assert owners(untracked) == {}
    applied = await api.apply("configmaps", configmap({"b": "1"}))
    assert owners(applied) == {"ME": {"f:data": {"f:b": {}}}, "before-first-apply": {"f:data": {".": {}, "f:a": {}}}}


@cluster
async def test_kubectl_takes_over_what_it_applied_on_its_own_side(api):
    applied = json.dumps(deployment())
    await api.create("deployments", deployment(annotations={LAST_APPLIED: applied}), "kubectl-client-side-apply")
    after = await api.apply("deployments", deployment(image="nginx:2"), "kubectl")
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    told = json.loads(after["metadata"]["annotations"][LAST_APPLIED])
    assert told["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    await api.merge("deployments", "web", {"spec": {"replicas": 9}}, "someone")
    error = await refused(api.apply("deployments", deployment(), "kubectl"))
    assert error.message == 'Apply failed with 1 conflict: conflict with "someone" using apps/v1: .spec.replicas'


@cluster
async def test_dry_run_answers_and_writes_nothing(api):
    made = await api.apply("configmaps", configmap({"a": "1"}), dryRun="All")
    assert owners(made)["ME"]
    assert (await refused(api.call("get", "configmaps", "a"))).code == 404


@pytest.mark.parametrize(
    ("document", "query", "code", "message"),
    [
        (configmap(), {"fieldManager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (configmap(), {"fieldManager": "x" * 129}, 422, "fieldManager: Too long: may not be more than 128 bytes"),
        (configmap() | {"apiVersion": "v2"}, {}, 400, "Incorrect version specified in apply patch."),
        (configmap() | {"kind": "Secret"}, {}, 400, "invalid object type: v1, Kind=Secret"),
        (configmap(managedFields=[]), {}, 400, "metadata.managedFields must be nil"),
        (
            configmap() | {"x": 1},
            {},
            400,
            "failed to create typed patch object (default/a; /v1, Kind=ConfigMap): .x: field not declared in schema",
        ),
        (configmap({"a": 1}), {}, 400, ".data.a: expected string, got &value.valueUnstructured{Value:1}"),
        (configmap(finalizers=["a/a", "a/a"]), {}, 400, '.metadata.finalizers: duplicate entries for key [="a/a"]'),
        (b"{", {}, 400, "error decoding YAML"),
        (b"- a", {}, 400, "error decoding YAML"),
        (b"a: [", {}, 400, "error decoding YAML"),
    ],
)
@cluster
async def test_what_cannot_be_applied_is_refused(api, document, query, code, message):
    query = {"fieldManager": "me"} | query
    error = await refused(api.call("patch", "configmaps", "a", document, content_type=APPLY_PATCH, **query))
    assert (error.code, message in error.message) == (code, True), error.message


@cluster
async def test_a_list_element_without_its_key_is_refused(api):
    document = deployment()
    del document["spec"]["template"]["spec"]["containers"][0]["name"]
    error = await refused(api.apply("deployments", document))
    assert error.message == (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): "
        ".spec.template.spec.containers: element 0: associative list with keys has an element that omits key field "
        '"name" (and doesn\'t have default value)'
    )


@cluster
async def test_force_is_for_apply_alone(api):
    await api.create("configmaps", configmap())
    error = await refused(api.merge("configmaps", "a", {}, force="true"))
    assert error.message == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )


@cluster
async def test_yaml_is_read_and_repeated_keys_are_told(api):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '1', x: '2'}\n"
    error = await refused(
        api.call("patch", "configmaps", "a", text, content_type=APPLY_PATCH, fieldManager="m", fieldValidation="Strict")
    )
    assert error.code == 400
    assert "error strict decoding YAML" in error.message
    made = await api.call("patch", "configmaps", "a", text, content_type=APPLY_PATCH, fieldManager="m")
    assert made["data"] == {"x": "2"}


@cluster
async def test_what_the_server_makes_is_the_servers(api):
    namespace = json.loads((await api._handler.call(Request("get", "", "v1", "namespaces", name="default"))).body)
    labels = {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}
    assert owners(namespace) == {"kube-apiserver": {"f:metadata": labels}}


@scenario
async def test_who_may_patch_but_not_create_makes_nothing_by_applying():
    async with local_api() as api:
        admin, bob = api.as_user(ADMIN), Cluster(api)
        bob._handler = api.as_user(User("bob", ("system:authenticated",)))
        group = "rbac.authorization.k8s.io"
        role = {
            "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}],
        }
        subject = {"kind": "User", "apiGroup": group, "name": "bob"}
        reference = {"kind": "Role", "apiGroup": group, "name": "r"}
        binding = {"metadata": {"name": "b"}, "subjects": [subject], "roleRef": reference}
        for plural, document in (("roles", role), ("rolebindings", binding)):
            body = json.dumps(document).encode()
            await admin.call(Request("create", group, "v1", plural, "default", body=body))
        error = await refused(bob.apply("configmaps", configmap({"a": "1"})))
        assert error.code == 403
        assert 'User "bob" cannot create resource "configmaps"' in error.message
        await Cluster(api).apply("configmaps", configmap({"b": "1"}))
        assert (await bob.apply("configmaps", configmap({"a": "1"})))["data"] == {"a": "1"}
