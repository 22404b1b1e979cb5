"""The write path: what the server sets, keeps, refuses, repeats and leaves alone."""

import asyncio
import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request
from minik8s.control.apiserver.authn import User
from minik8s.wire.etcd import rpc_pb2 as rpc

from .harness import ADMIN, local_api, local_core, local_store, scenario

POD = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
DEPLOYMENT = {
    "metadata": {"name": "a"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE},
}
GROUPS = {"deployments": "apps", "replicasets": "apps", "leases": "coordination.k8s.io"}
CLUSTER_SCOPED = ("namespaces", "nodes")


class Client:
    """Any resource, as bare requests; the namespace is `default`."""

    def __init__(self, api, user=ADMIN) -> None:
        self._handler = api.as_user(user)

    async def call(self, verb, resource, name="", body=None, *, sub="", content_type=JSON, namespace=None, **query):
        namespace = ("" if resource in CLUSTER_SCOPED else "default") if namespace is None else namespace
        encoded = body if isinstance(body, bytes) else (json.dumps(body).encode() if body is not None else b"")
        group = GROUPS.get(resource, "")
        request = Request(verb, group, "v1", resource, namespace, name, sub, query, encoded, content_type)
        self.response = await self._handler.call(request)
        return json.loads(self.response.body)

    async def create(self, resource, body, **options):
        return await self.call("create", resource, body=body, **options)

    async def patch(self, resource, name, body, content_type=MERGE_PATCH, **options):
        return await self.call("patch", resource, name, body, content_type=content_type, **options)


async def refused(call):
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value


@scenario
async def test_a_create_gives_identity():
    async with local_api() as api:
        client = Client(api)
        sent = {"metadata": {"name": "a", "uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z", "generation": 7}}
        made = (await client.create("deployments", DEPLOYMENT | sent))["metadata"]
        assert client.response.code == 201
        assert made["uid"] != "mine"
        assert made["creationTimestamp"] > "2020"
        assert (made["generation"], made["namespace"]) == (1, "default")
        assert made["resourceVersion"] == str(client.response.revision)


@scenario
async def test_a_name_is_generated():
    async with local_api() as api:
        client = Client(api)
        names = {
            (await client.create("configmaps", {"metadata": {"generateName": "a-"}}))["metadata"]["name"] for _ in "abc"
        }
        assert len(names) == 3
        assert all(len(name) == 7 and name.startswith("a-") for name in names)


@pytest.mark.parametrize(
    ("resource", "body", "options", "code", "text"),
    [
        ("configmaps", {"metadata": {}}, {}, 422, "name or generateName is required"),
        ("configmaps", {"metadata": {"name": "A_b"}}, {}, 422, "metadata.name: Invalid value"),
        (
            "configmaps",
            {"metadata": {"name": "a", "namespace": "x"}},
            {},
            400,
            "the namespace of the provided object does",
        ),
        (
            "configmaps",
            {"metadata": {"name": "a", "resourceVersion": "1"}},
            {},
            400,
            "resourceVersion should not be set",
        ),
        ("configmaps", {"metadata": {"name": "a"}}, {"namespace": "nope"}, 404, 'namespaces "nope" not found'),
        ("configmaps", {"metadata": {"name": "a"}, "data": 1}, {}, 400, "cannot be handled as a ConfigMap"),
        ("configmaps", {"kind": "Pod", "metadata": {"name": "a"}}, {}, 400, "cannot be handled as a"),
        ("configmaps", {"metadata": {"name": "a"}}, {"dryRun": "Some"}, 422, "dryRun"),
        ("configmaps", b"{", {}, 400, "the object provided is unrecognized"),
        ("configmaps", b"", {}, 400, "the object provided is unrecognized"),
        (
            "configmaps",
            {"metadata": {"name": "a"}, "nope": 1},
            {"fieldValidation": "Strict"},
            400,
            'unknown field "nope"',
        ),
        ("pods", {"metadata": {"name": "a"}, "spec": {}}, {}, 422, "spec.containers: Required value"),
        ("gadgets", {"metadata": {"name": "a"}}, {}, 404, "the server could not find the requested resource"),
    ],
)
@scenario
async def test_a_bad_create_is_refused(resource, body, options, code, text):
    async with local_api() as api:
        error = await refused(Client(api).create(resource, body, **options))
        assert error.code == code
        assert text in error.message


@scenario
async def test_unknown_fields_are_dropped_with_a_warning():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("configmaps", {"metadata": {"name": "a"}, "nope": 1})
        assert "nope" not in made
        assert client.response.warnings == ('unknown field "nope"',)


@scenario
async def test_a_dry_run_does_everything_but_the_write():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("configmaps", {"metadata": {"name": "a"}}, dryRun="All")
        assert made["metadata"]["uid"]
        assert (await refused(client.call("get", "configmaps", "a"))).reason == "NotFound"
        await client.create("configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}})
        assert (await client.patch("configmaps", "a", {"data": {"x": "2"}}, dryRun="All"))["data"] == {"x": "2"}
        await client.call("delete", "configmaps", "a", {"dryRun": ["All"]})
        assert (await client.call("get", "configmaps", "a"))["data"] == {"x": "1"}


@scenario
async def test_a_second_create_of_a_name_exists_already():
    async with local_api() as api:
        client = Client(api)
        await client.create("deployments", DEPLOYMENT)
        error = await refused(client.create("deployments", DEPLOYMENT))
        assert (error.reason, error.message) == ("AlreadyExists", 'deployments.apps "a" already exists')


@scenario
async def test_generation_counts_changes_of_the_spec():
    async with local_api() as api:
        client = Client(api)
        await client.create("deployments", DEPLOYMENT)
        assert (await client.patch("deployments", "a", {"metadata": {"labels": {"x": "1"}}}))["metadata"][
            "generation"
        ] == 1
        assert (await client.patch("deployments", "a", {"spec": {"replicas": 2}}))["metadata"]["generation"] == 2
        status = await client.patch("deployments", "a", {"status": {"replicas": 2}}, sub="status")
        assert status["metadata"]["generation"] == 2


@scenario
async def test_status_is_written_through_its_subresource_alone():
    async with local_api() as api:
        client = Client(api)
        await client.create("deployments", DEPLOYMENT | {"status": {"replicas": 9}})
        assert not (await client.patch("deployments", "a", {"status": {"replicas": 9}})).get("status")
        body = {"spec": {"replicas": 5}, "status": {"replicas": 3}, "metadata": {"labels": {"x": "1"}}}
        written = await client.patch("deployments", "a", body, sub="status")
        assert (written["spec"]["replicas"], written["status"]["replicas"]) == (1, 3)
        assert "labels" not in written["metadata"]
        kept = await client.patch("deployments", "a", {"spec": {"replicas": 4}})
        assert kept["status"]["replicas"] == 3


@scenario
async def test_a_write_that_changes_nothing_is_not_made():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("deployments", DEPLOYMENT)
        again = await client.patch("deployments", "a", {"spec": {"replicas": 1}})
        assert again == made
        assert (await client.call("update", "deployments", "a", made)) == made


@scenario
async def test_what_clients_cannot_change_is_kept():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("configmaps", {"metadata": {"name": "a"}})
        change = {
            "creationTimestamp": "1999-01-01T00:00:00Z",
            "deletionTimestamp": "1999-01-01T00:00:00Z",
            "selfLink": "/",
        }
        assert await client.patch("configmaps", "a", {"metadata": change}) == made


@scenario
async def test_a_put_with_an_old_revision_is_a_conflict_and_without_one_is_not():
    async with local_api() as api:
        client = Client(api)
        old = await client.create("configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}})
        await client.patch("configmaps", "a", {"data": {"x": "2"}})
        error = await refused(client.call("update", "configmaps", "a", old | {"data": {"x": "3"}}))
        assert (error.reason, error.code) == ("Conflict", 409)
        assert error.message.startswith('Operation cannot be fulfilled on configmaps "a": the object has been modified')
        del old["metadata"]["resourceVersion"]
        assert (await client.call("update", "configmaps", "a", old | {"data": {"x": "3"}}))["data"] == {"x": "3"}


@scenario
async def test_a_put_must_be_about_the_object_of_its_url():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("configmaps", {"metadata": {"name": "a"}})
        made["metadata"]["name"] = "b"
        error = await refused(client.call("update", "configmaps", "a", made))
        assert (error.code, error.message) == (400, "the name of the object (b) does not match the name on the URL (a)")
        other = {"metadata": {"name": "a", "uid": "another"}}
        assert (await refused(client.call("update", "configmaps", "a", other))).code == 409


@scenario
async def test_patches_at_the_same_time_all_happen():
    async with local_api() as api:
        client = Client(api)
        await client.create("configmaps", {"metadata": {"name": "a"}})
        await asyncio.gather(*(client.patch("configmaps", "a", {"data": {f"k{n}": "v"}}) for n in range(5)))
        assert len((await client.call("get", "configmaps", "a"))["data"]) == 5


@scenario
async def test_a_patch_that_names_a_revision_is_not_repeated():
    async with local_api() as api:
        client = Client(api)
        old = await client.create("configmaps", {"metadata": {"name": "a"}})
        await client.patch("configmaps", "a", {"data": {"x": "2"}})
        body = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"x": "3"}}
        assert (await refused(client.patch("configmaps", "a", body))).reason == "Conflict"


@pytest.mark.parametrize(
    ("content_type", "body", "images"),
    [
        (STRATEGIC_MERGE_PATCH, {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "2"}]}}}}, ["2"]),
        (MERGE_PATCH, {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "3"}]}}}}, ["3"]),
        (JSON_PATCH, [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "4"}], ["4"]),
    ],
)
@scenario
async def test_three_kinds_of_patch_change_a_deployment(content_type, body, images):
    async with local_api() as api:
        client = Client(api)
        await client.create("deployments", DEPLOYMENT)
        patched = await client.patch("deployments", "a", body, content_type)
        assert [each["image"] for each in patched["spec"]["template"]["spec"]["containers"]] == images


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ({"spec": {"replicas": "many"}}, MERGE_PATCH, 400),
        ({"spec": {"replicas": -1}}, MERGE_PATCH, 422),
        ({"spec": {"selector": {"matchLabels": {"app": "b"}}}}, MERGE_PATCH, 422),
        ([{"op": "test", "path": "/spec/replicas", "value": 7}], JSON_PATCH, 422),
        ({"metadata": {"name": "b"}}, MERGE_PATCH, 400),
        ({"spec": {"nope": 1}}, MERGE_PATCH, 400),
    ],
)
@scenario
async def test_a_patch_to_something_invalid_is_refused(body, content_type, code):
    async with local_api() as api:
        client = Client(api)
        await client.create("deployments", DEPLOYMENT)
        error = await refused(client.patch("deployments", "a", body, content_type, fieldValidation="Strict"))
        assert error.code == code


@pytest.mark.parametrize("content_type", [MERGE_PATCH, STRATEGIC_MERGE_PATCH, JSON_PATCH])
@scenario
async def test_a_patch_as_deep_as_a_well_is_refused(content_type):
    async with local_api() as api:
        client = Client(api)
        await client.create("configmaps", {"metadata": {"name": "a"}})
        for depth in (400, 900, 100_000):
            well = b'{"a":' * depth + b"1" + b"}" * depth
            body = b'[{"op":"add","path":"/data","value":' + well + b"}]" if content_type == JSON_PATCH else well
            patch = client.patch("configmaps", "a", body, content_type, fieldValidation="Strict")
            assert (await refused(patch)).code == 400


@pytest.mark.parametrize("body", [b'{"target":5}', b"[]", b"", b"{" * 100_000], ids=["type", "list", "none", "deep"])
@scenario
async def test_a_binding_that_makes_no_sense_is_refused(body):
    async with local_api() as api:
        assert (await refused(Client(api).call("create", "pods", "a", body, sub="binding"))).code == 400


@scenario
async def test_namespaces_are_not_deleted_as_a_collection():
    async with local_api() as api:
        assert (await refused(Client(api).call("deletecollection", "namespaces"))).code == 405


@scenario
async def test_a_patch_of_nothing_is_not_found():
    async with local_api() as api:
        for verb in ("patch", "update", "delete", "get"):
            body = {"metadata": {"name": "x"}} if verb in ("patch", "update") else None
            call = Client(api).call(
                verb, "configmaps", "x", body, content_type=MERGE_PATCH if verb == "patch" else JSON
            )
            assert (await refused(call)).message == 'configmaps "x" not found'


@scenario
async def test_a_pod_is_bound_once():
    async with local_api() as api:
        client = Client(api)
        await client.create("pods", POD)
        binding = {"target": {"kind": "Node", "name": "n1"}}
        assert (await client.call("create", "pods", "a", binding, sub="binding"))["status"] == "Success"
        assert client.response.code == 201
        bound = await client.call("get", "pods", "a")
        assert bound["spec"]["nodeName"] == "n1"
        assert [(each["type"], each["status"]) for each in bound["status"]["conditions"]] == [("PodScheduled", "True")]
        error = await refused(client.call("create", "pods", "a", {"target": {"name": "n2"}}, sub="binding"))
        assert (error.reason, 'already assigned to node "n1"' in error.message) == ("Conflict", True)
        assert (await refused(client.call("create", "pods", "a", {}, sub="binding"))).code == 422


@scenario
async def test_a_pod_is_deleted_in_two_steps():
    async with local_api() as api:
        client = Client(api)
        await client.create("pods", POD)
        await client.call("create", "pods", "a", {"target": {"name": "n1"}}, sub="binding")
        marked = await client.call("delete", "pods", "a")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        await client.call("delete", "pods", "a", {"gracePeriodSeconds": 0})
        assert (await refused(client.call("get", "pods", "a"))).reason == "NotFound"


@scenario
async def test_a_deletion_answers_with_what_it_deleted():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("deployments", DEPLOYMENT)
        status = await client.call("delete", "deployments", "a")
        uid = made["metadata"]["uid"]
        assert status["details"] == {"name": "a", "group": "apps", "kind": "deployments", "uid": uid}


@scenario
async def test_removing_the_last_finalizer_deletes():
    async with local_api() as api:
        client = Client(api)
        await client.create("configmaps", {"metadata": {"name": "a", "finalizers": ["x/y"]}})
        await client.call("delete", "configmaps", "a")
        added = client.patch("configmaps", "a", {"metadata": {"finalizers": ["x/y", "x/z"]}})
        assert "no new finalizers can be added" in (await refused(added)).message
        await client.patch("configmaps", "a", {"metadata": {"finalizers": None}})
        assert (await refused(client.call("get", "configmaps", "a"))).reason == "NotFound"


@scenario
async def test_a_namespace_goes_when_it_is_finalized_and_takes_nothing_new_before():
    async with local_api() as api:
        client = Client(api)
        await client.create("namespaces", {"metadata": {"name": "n"}})
        marked = await client.call("delete", "namespaces", "n")
        assert marked["status"]["phase"] == "Terminating"
        error = await refused(client.create("configmaps", {"metadata": {"name": "a"}}, namespace="n"))
        assert (error.code, error.causes[0].reason) == (403, "NamespaceTerminating")
        marked["spec"]["finalizers"] = []
        await client.call("update", "namespaces", "n", marked, sub="finalize")
        assert (await refused(client.call("get", "namespaces", "n"))).reason == "NotFound"


@scenario
async def test_a_collection_is_deleted_by_selector():
    async with local_api() as api:
        client = Client(api)
        for name, label in (("a", "1"), ("b", "2"), ("c", "1")):
            await client.create("configmaps", {"metadata": {"name": name, "labels": {"x": label}}})
        await client.call("deletecollection", "configmaps", labelSelector="x=1")
        left = await client.call("list", "configmaps")
        assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


@scenario
async def test_services_never_share_an_address_and_give_it_back():
    async with local_api() as api:
        client = Client(api)
        spec = {"ports": [{"port": 80}]}
        services = [{"metadata": {"name": f"s{n}"}, "spec": spec} for n in range(20)]
        made = await asyncio.gather(*(Client(api).create("services", service) for service in services))
        addresses = [service["spec"]["clusterIP"] for service in made]
        assert len(set(addresses)) == 20
        wanted = {"metadata": {"name": "again"}, "spec": spec | {"clusterIP": addresses[0]}}
        error = await refused(client.create("services", wanted))
        assert (error.code, "provided IP is already allocated" in error.message) == (422, True)
        await client.call("delete", "services", "s0")
        assert (await client.create("services", wanted))["spec"]["clusterIP"] == addresses[0]


@scenario
async def test_events_expire():
    async with local_store() as store, local_core(store=store) as core:
        event = {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "a"},
            "reason": "Because",
        }
        await Client(core.api).create("events", event)
        stored = await store.range(rpc.RangeRequest(key=b"/registry/", range_end=b"/registry0"))
        leases = {kv.key: kv.lease for kv in stored.kvs}
        assert leases[b"/registry/events/default/e"] > 0
        assert leases[b"/registry/namespaces/default"] == 0


@scenario
async def test_a_deployment_is_scaled():
    async with local_api() as api:
        client = Client(api)
        made = await client.create("deployments", DEPLOYMENT)
        scale = await client.call("get", "deployments", "a", sub="scale")
        assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 1})
        assert scale["status"] == {"replicas": 0, "selector": "app=a"}
        scale["spec"]["replicas"] = 3
        put = await client.call("update", "deployments", "a", scale, sub="scale")
        assert (put["kind"], put["spec"]) == ("Scale", {"replicas": 3})
        patched = await client.patch("deployments", "a", {"spec": {"replicas": 5}}, sub="scale")
        assert patched["spec"] == {"replicas": 5}
        scaled = await client.call("get", "deployments", "a")
        assert (scaled["spec"]["replicas"], scaled["metadata"]["generation"]) == (5, 3)
        assert scaled["spec"]["template"] == made["spec"]["template"]
        old = client.call("update", "deployments", "a", scale, sub="scale")
        assert (await refused(old)).reason == "Conflict"
        negative = client.patch("deployments", "a", {"spec": {"replicas": -1}}, sub="scale")
        assert "must be greater than or equal to 0" in (await refused(negative)).message


@scenario
async def test_who_may_not_is_told_before_anything_is_looked_at():
    async with local_api() as api:
        stranger = Client(api, User("bob", ("system:authenticated",)))
        assert (await refused(stranger.create("configmaps", b"{"))).code == 403
        assert (await refused(stranger.call("get", "configmaps", "nope"))).code == 403
