"""Evictions: what budgets allow, in upstream's words."""

import asyncio

import msgspec
import pytest

from control.apiserver.admission.world import Cluster, cluster, pod
from control.apiserver.harness import local_core, local_store, scenario
from control.controllers.running import controllers, until
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.core import CoreConfig
from minik8s.control.apiserver.eviction import spend
from minik8s.control.controllers.disruption import DisruptionController

NOW = "2026-11-20T10:00:00Z"
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


async def run_pod(made, name, status=None):
    await made.create("pods", pod(name, nodeName="n") | {"metadata": {"name": name, "labels": {"app": "web"}}})
    await made.patch("pods", name, {"status": status or READY}, subresource="status")


async def budget(made, allowed, *, name="b", policy="", **status):
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    spec |= {"unhealthyPodEvictionPolicy": policy} if policy else {}
    stored = await made.create("poddisruptionbudgets", {"metadata": {"name": name}, "spec": spec})
    status = {
        "disruptionsAllowed": allowed,
        "desiredHealthy": 1,
        "currentHealthy": 1 + allowed,
        "expectedPods": 2,
        "observedGeneration": stored["metadata"]["generation"],
    } | status
    await made.patch("poddisruptionbudgets", name, {"status": status}, subresource="status")


async def evict(made, name, **more):
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}} | more.pop("body", {})
    return await made.call("create", "pods", name, eviction, subresource="eviction", **more)


async def refusal(awaitable):
    with pytest.raises(StatusError) as caught:
        await awaitable
    return caught.value


async def is_there(made, name):
    try:
        return "deletionTimestamp" not in (await made.get("pods", name))["metadata"]
    except StatusError:
        return False


@scenario
async def test_a_pod_without_a_budget_goes():
    async with cluster() as made:
        await run_pod(made, "a")
        answer = await evict(made, "a")
        assert (answer.code, msgspec.json.decode(answer.body)["status"]) == (201, "Success")
        left = await made.get("pods", "a")
        assert left["metadata"]["deletionTimestamp"]
        [condition] = [one for one in left["status"]["conditions"] if one["type"] == "DisruptionTarget"]
        assert (condition["reason"], condition["message"]) == ("EvictionByEvictionAPI", "Eviction API: evicting")


@scenario
async def test_what_a_budget_allows_is_spent_and_then_refused():
    async with cluster() as made:
        for name in ("a", "b"):
            await run_pod(made, name)
        await budget(made, 1)
        await evict(made, "a", dryRun="All")
        assert await is_there(made, "a"), "a dry run spends nothing and lets nobody go"
        await evict(made, "a")
        status = (await made.get("poddisruptionbudgets", "b"))["status"]
        assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["a"])
        assert status["conditions"][0]["reason"] == "InsufficientPods"
        found = await refusal(evict(made, "b"))
        assert (found.code, found.reason) == (429, "TooManyRequests")
        assert found.message == "Cannot evict pod as it would violate the pod's disruption budget."
        assert [(cause.reason, cause.message) for cause in found.causes] == [
            ("DisruptionBudget", "The disruption budget b needs 1 healthy pods and has 2 currently")
        ]
        assert await is_there(made, "b")


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        ({"observedGeneration": 0}, 429, "The disruption budget b is still being processed by the server."),
        (
            {
                "disruptionsAllowed": 0,
                "conditions": [{"type": "DisruptionAllowed", "reason": "SyncFailed", "message": "m"}],
            },
            429,
            "The disruption budget b does not allow evicting pods currently because it failed sync: m",
        ),
        (
            {"disruptedPods": {f"p{number}": NOW for number in range(2001)}},
            403,
            'poddisruptionbudget.policy "b" is forbidden: DisruptedPods map too big - too many evictions not confirmed '
            "by PDB controller",
        ),
    ],
)
def test_a_budget_that_cannot_say_allows_nothing(status, code, why):
    given = {
        "metadata": {"name": "b", "generation": 1},
        "status": {"observedGeneration": 1, "disruptionsAllowed": 1} | status,
    }
    with pytest.raises(StatusError) as caught:
        spend(given, "p", NOW)
    assert caught.value.code == code
    assert (caught.value.causes[0].message if caught.value.causes else caught.value.message) == why


@pytest.mark.parametrize(
    ("status", "policy", "healthy", "goes"),
    [
        ({"phase": "Pending"}, "", 0, True),
        ({"phase": "Succeeded"}, "", 0, True),
        ({"phase": "Running"}, "", 0, False),
        ({"phase": "Running"}, "", 1, True),
        ({"phase": "Running"}, "AlwaysAllow", 0, True),
        ({"phase": "Running"}, "IfHealthyBudget", 0, False),
        (READY, "AlwaysAllow", 1, False),
    ],
)
def test_a_pod_that_counts_for_nothing_goes(status, policy, healthy, goes):
    @scenario
    async def main():
        async with cluster() as made:
            await run_pod(made, "a", status)
            await budget(made, 0, policy=policy, currentHealthy=healthy)
            if goes:
                await evict(made, "a")
            else:
                assert (await refusal(evict(made, "a"))).code == 429
            assert await is_there(made, "a") is not goes

    main()


@scenario
async def test_mistakes_are_told():
    async with cluster() as made:
        await run_pod(made, "a")
        assert (await refusal(evict(made, "nope"))).code == 404
        found = await refusal(evict(made, "a", body={"metadata": {"name": "b"}}))
        assert (found.code, found.message) == (400, "name in URL does not match name in Eviction object")
        assert (await refusal(evict(made, "a", body={"kind": "Pod", "apiVersion": "v1"}))).code == 400
        conditions = {"deleteOptions": {"preconditions": {"uid": "other"}}}
        assert (await refusal(evict(made, "a", body=conditions))).code == 409
        node = made.as_user(User("system:node:m", ("system:nodes", "system:authenticated")))
        assert (await refusal(evict(node, "a"))).code == 403
        await budget(made, 1)
        await budget(made, 1, name="c")
        found = await refusal(evict(made, "a"))
        assert (found.code, found.message) == (
            500,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )


@scenario
async def test_two_apiservers_never_spend_one_allowance():
    config = CoreConfig(admission=AdmissionConfig(disabled=["ServiceAccount"]))
    async with (
        local_store() as store,
        local_core(store=store, config=config) as one,
        local_core(store=store, config=config, seed=2) as other,
    ):
        faces = [Cluster(one), Cluster(other)]
        for number in range(6):
            await run_pod(faces[0], f"p{number}")
        await budget(faces[0], 3)
        await other.cache.reach(one.cache.revision, 5)
        answers = await asyncio.gather(
            *(evict(faces[number % 2], f"p{number}") for number in range(6)), return_exceptions=True
        )
        refused = [each for each in answers if isinstance(each, StatusError)]
        assert [each.code for each in refused] == [429] * 3
        assert sum([await is_there(faces[0], f"p{number}") for number in range(6)]) == 3


@scenario
async def test_the_controller_gives_back_what_evictions_spent():
    async with cluster() as made, controllers(made.core.api, DisruptionController):
        for name in ("a", "b"):
            await run_pod(made, name)
        spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        await made.create("poddisruptionbudgets", {"metadata": {"name": "b"}, "spec": spec})

        async def allows(count, pods):
            status = (await made.get("poddisruptionbudgets", "b"))["status"]
            return (status["disruptionsAllowed"], status["expectedPods"]) == (count, pods) and status

        await until(lambda: allows(1, 2))
        await evict(made, "a")
        await made.call("delete", "pods", "a", {"gracePeriodSeconds": 0})
        status = await until(lambda: allows(0, 1))
        assert status["currentHealthy"] == 1
        await run_pod(made, "c")
        status = await until(lambda: allows(1, 2))
        assert status["conditions"][0]["reason"] == "SufficientPods"
