"""ResourceQuota: nothing beyond what a namespace may have, whoever writes, and nothing charged for what is not made."""

import asyncio

import pytest

from control.apiserver.admission.world import Cluster, asks, cluster, pod
from control.apiserver.harness import local_core, local_store, scenario
from control.controllers.running import controllers, until
from minik8s.api.errors import StatusError
from minik8s.control.controllers.resourcequota import ResourceQuotaController


async def limit(made, hard, name="q", **spec):
    """A quota that has been counted."""
    await made.create("resourcequotas", {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    used = dict.fromkeys(hard, "0")
    await made.patch("resourcequotas", name, {"status": {"hard": hard, "used": used}}, subresource="status")


async def used(made, name="q"):
    return (await made.get("resourcequotas", name))["status"]["used"]


async def refusal(awaitable):
    with pytest.raises(StatusError) as caught:
        await awaitable
    return caught.value


@scenario
async def test_a_write_is_charged_and_what_would_exceed_is_refused_in_upstreams_words():
    async with cluster() as made:
        await limit(made, {"pods": "2", "count/pods": "5", "services": "1"})
        for name in ("a", "b"):
            await made.create("pods", pod(name))
        assert await used(made) == {"pods": "2", "count/pods": "2", "services": "0"}
        found = await refusal(made.create("pods", pod("c")))
        assert (found.code, found.message) == (
            403,
            'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2',
        )
        assert (await used(made))["pods"] == "2"


@scenario
async def test_what_fails_or_is_only_tried_is_not_charged():
    async with cluster() as made:
        await limit(made, {"configmaps": "3"})
        await made.create("configmaps", {"metadata": {"name": "a"}})
        assert (await refusal(made.create("configmaps", {"metadata": {"name": "a"}}))).reason == "AlreadyExists"
        await made.call("create", "configmaps", "", {"metadata": {"name": "b"}}, dryRun="All")
        assert await used(made) == {"configmaps": "1"}
        for name in ("b", "c"):
            await made.create("configmaps", {"metadata": {"name": name}})
        found = await refusal(made.call("create", "configmaps", "", {"metadata": {"name": "d"}}, dryRun="All"))
        assert "exceeded quota: q, requested: configmaps=1, used: configmaps=3, limited: configmaps=3" in found.message


@scenario
async def test_two_apiservers_never_exceed_a_quota_together():
    async with local_store() as store, local_core(store=store) as one, local_core(store=store, seed=2) as other:
        faces = [Cluster(one), Cluster(other)]
        await limit(faces[0], {"configmaps": "10"})
        await other.cache.reach(one.cache.revision, 5)

        async def create(number):
            try:
                await faces[number % 2].call("create", "configmaps", "", {"metadata": {"name": f"c{number}"}})
            except StatusError as error:
                return error.message

        failures = [each for each in await asyncio.gather(*map(create, range(30))) if each]
        assert len(failures) == 20
        assert all("exceeded quota: q, requested: configmaps=1, used: configmaps=10" in each for each in failures)
        assert await used(faces[0]) == {"configmaps": "10"}


@scenario
async def test_who_is_limited_says_how_much_it_needs():
    async with cluster() as made:
        await limit(made, {"limits.cpu": "2", "requests.memory": "1Gi"})
        containers = [{"name": "a"}, {"name": "b"}]
        assert (await refusal(made.create("pods", pod("p", *containers)))).message == (
            'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: a,b; requests.memory for: a,b'
        )
        await made.create("pods", pod("p", asks({"memory": "512Mi"}, {"cpu": "1500m"})))
        found = await refusal(made.create("pods", pod("r", asks({"memory": "600Mi"}, {"cpu": "1"}))))
        assert found.message == (
            'pods "r" is forbidden: exceeded quota: q, requested: limits.cpu=1,requests.memory=600Mi, '
            "used: limits.cpu=1500m,requests.memory=512Mi, limited: limits.cpu=2,requests.memory=1Gi"
        )


@scenario
async def test_a_quota_nobody_has_counted_yet_lets_nothing_pass():
    async with cluster() as made:
        await made.create("resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
        await made.patch("resourcequotas", "q", {"status": {"hard": {"pods": "2"}}}, subresource="status")
        found = await refusal(made.create("pods", pod("p")))
        assert found.message == 'pods "p" is forbidden: status unknown for quota: q, resources: pods'


@scenario
async def test_an_update_is_charged_what_it_adds():
    async with cluster() as made:
        await limit(made, {"services.nodeports": "2", "services": "5"})
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "b"}]}}
        await made.create("services", service)
        await made.patch("services", "s", {"spec": {"type": "NodePort"}})
        assert await used(made) == {"services.nodeports": "2", "services": "1"}
        ports = [{"port": number, "name": f"p{number}"} for number in (1, 2, 3)]
        found = await refusal(made.patch("services", "s", {"spec": {"ports": ports}}))
        assert "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=2" in found.message


@scenario
async def test_a_claim_is_charged_by_class():
    hard = {"requests.storage": "10Gi", "gold.storageclass.storage.k8s.io/requests.storage": "1Gi"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    async with cluster() as made:
        await limit(made, hard)
        await made.create("persistentvolumeclaims", {"metadata": {"name": "a"}, "spec": claim})
        golden = {"metadata": {"name": "b"}, "spec": claim | {"storageClassName": "gold"}}
        assert (await refusal(made.create("persistentvolumeclaims", golden))).message == (
            'persistentvolumeclaims "b" is forbidden: exceeded quota: q, '
            "requested: gold.storageclass.storage.k8s.io/requests.storage=2Gi, "
            "used: gold.storageclass.storage.k8s.io/requests.storage=0, "
            "limited: gold.storageclass.storage.k8s.io/requests.storage=1Gi"
        )


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ({"scopes": ["BestEffort"]}, pod("p"), pod("p", asks({"cpu": "1"}))),
        ({"scopes": ["NotBestEffort"]}, pod("p", asks({"cpu": "1"})), pod("p")),
        ({"scopes": ["Terminating"]}, pod("p", activeDeadlineSeconds=5), pod("p")),
        ({"scopes": ["NotTerminating"]}, pod("p"), pod("p", activeDeadlineSeconds=5)),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
                    ]
                }
            },
            pod("p", priorityClassName="system-node-critical"),
            pod("p"),
        ),
        ({"scopes": ["PriorityClass"]}, pod("p", priorityClassName="system-node-critical"), pod("p")),
    ],
)
def test_a_quota_counts_what_is_in_its_scopes(scope, inside, outside):
    @scenario
    async def main():
        async with cluster() as made:
            await limit(made, {"pods": "0"}, **scope)
            assert "exceeded quota" in (await refusal(made.create("pods", inside))).message
            await made.create("pods", outside)

    main()


@scenario
async def test_the_controller_counts_what_is_there_and_gives_back_what_goes():
    async with cluster() as made, controllers(made.core.api, ResourceQuotaController):
        await made.create("pods", pod("before", asks({"cpu": "300m"})))
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.cpu": "1"}}}
        await made.create("resourcequotas", quota)

        async def is_used(amounts):
            status = (await made.get("resourcequotas", "q")).get("status", {})
            return status.get("used") == amounts and status["hard"] == quota["spec"]["hard"]

        await until(lambda: is_used({"pods": "1", "requests.cpu": "300m"}))
        await made.core.cache.reach(await made.core.registry.current_revision(), 5)
        await made.create("pods", pod("a", asks({"cpu": "200m"})))
        assert await is_used({"pods": "2", "requests.cpu": "500m"})
        await made.call("delete", "pods", "before")
        await until(lambda: is_used({"pods": "1", "requests.cpu": "200m"}))
        # What has finished uses nothing any more, but is still there.
        await made.patch("pods", "a", {"status": {"phase": "Succeeded"}}, subresource="status")
        await until(lambda: is_used({"pods": "0", "requests.cpu": "0"}))
        quota["spec"]["hard"] = {"count/pods": "7"}
        await made.patch(
            "resourcequotas", "q", {"spec": {"hard": {"pods": None, "requests.cpu": None, "count/pods": "7"}}}
        )
        await until(lambda: is_used({"count/pods": "1"}))


@scenario
async def test_custom_objects_are_counted_too():
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "a.b", "names": names, "scope": "Namespaced", "versions": [version]}
    async with cluster() as made, controllers(made.core.api, ResourceQuotaController):
        await made.create("customresourcedefinitions", {"metadata": {"name": "gadgets.a.b"}, "spec": spec})

        async def is_served():
            try:
                await made.call("list", "gadgets")
            except StatusError:
                return False
            return True

        await until(is_served)
        gadget = {"apiVersion": "a.b/v1", "kind": "Gadget", "metadata": {"name": "before"}}
        await made.create("gadgets", gadget)
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/gadgets.a.b": "2"}}}
        await made.create("resourcequotas", quota)

        async def is_used(count):
            status = (await made.get("resourcequotas", "q")).get("status", {})
            return status.get("used") == {"count/gadgets.a.b": count}

        await until(lambda: is_used("1"))
        await made.core.cache.reach(await made.core.registry.current_revision(), 5)
        await made.create("gadgets", gadget | {"metadata": {"name": "second"}})
        found = await refusal(made.create("gadgets", gadget | {"metadata": {"name": "third"}}))
        assert "exceeded quota: q, requested: count/gadgets.a.b=1, used: count/gadgets.a.b=2" in found.message
