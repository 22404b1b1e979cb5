"""Scheduler and controllers together on a true apiserver with pretended kubelets, in virtual time: single scenes."""

import asyncio

import pytest

from minik8s.api.apps_v1 import DEPLOYMENTS, REPLICASETS
from minik8s.api.core_v1 import NAMESPACES, NODES, PODS, SERVICES
from minik8s.api.discovery_v1 import ENDPOINTSLICES
from minik8s.api.errors import StatusError
from minik8s.control.controllers import pods as pod_rules
from sim.control.world import deployment, world
from sim.store.virtual_loop import run


def scene(main):
    """A test that is a coroutine in virtual time."""

    def test(**arguments):
        run(main(**arguments))

    test.__name__ = main.__name__
    test.__doc__ = main.__doc__
    return test


async def patch(made, name, spec):
    await made.client.patch(DEPLOYMENTS, name, {"spec": spec}, namespace="default")


def image(text):
    return {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}


@scene
async def test_pods_of_a_dead_node_come_back_elsewhere_and_the_node_recovers():
    async with world(1) as made:
        await made.client.create(DEPLOYMENTS, deployment(replicas=4))
        await made.settle("web")
        began_s = made.clock.monotonic_s()
        made.kubelets_alive["n0"] = False
        await made.until(lambda: sum(map(pod_rules.is_ready, made.active("web"))) < 4, within_s=70)
        assert 30 < made.clock.monotonic_s() - began_s < 60
        lost = await made.client.get(NODES, "n0")
        assert {(one.key, one.effect) for one in lost.spec.taints} == {
            ("node.kubernetes.io/unreachable", "NoSchedule"),
            ("node.kubernetes.io/unreachable", "NoExecute"),
        }
        # Default tolerations: 300 s.
        await made.until(
            lambda: (
                sum(map(pod_rules.is_ready, made.active("web"))) == 4
                and {pod.spec.nodeName for pod in made.active("web")} == {"n1"}
            ),
            within_s=400,
        )
        assert 330 < made.clock.monotonic_s() - began_s < 370
        made.kubelets_alive["n0"] = True
        await made.settle("web")
        await made.until(lambda: len(made.pods.items) == 4)
        assert not (await made.client.get(NODES, "n0")).spec.taints


@scene
async def test_nothing_is_evicted_when_all_nodes_fall_silent_at_once():
    async with world(1) as made:
        await made.client.create(DEPLOYMENTS, deployment(replicas=4))
        await made.settle("web")
        for node in made.kubelets_alive:
            made.kubelets_alive[node] = False
        uids = {pod.metadata.uid for pod in made.active("web")}
        started_s = made.clock.monotonic_s()
        await made.until(lambda: made.clock.monotonic_s() > started_s + 600, within_s=700)
        assert {pod.metadata.uid for pod in made.active("web")} == uids


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_deleting_a_deployment_takes_its_pods_or_leaves_them(propagation):
    async def main():
        async with world(1) as made:
            await made.client.create(DEPLOYMENTS, deployment())
            await made.settle("web")
            await made.client.delete(DEPLOYMENTS, "web", namespace="default", propagation=propagation)
            if propagation == "Orphan":
                await made.until(lambda: not made.deployments.items)
                [left] = (await made.client.list(REPLICASETS)).items
                assert not left.metadata.ownerReferences
                assert len(made.active("web")) == 3
                # One that comes later adopts them.
                await made.client.create(DEPLOYMENTS, deployment())
                await made.settle("web")
                assert len((await made.client.list(REPLICASETS)).items) == 1
                return
            seen = []
            made.deployments.add_handler(lambda type_, old, new: seen.append((type_, len(made.active("web")))))
            await made.until(lambda: not made.pods.items and not made.replicasets.items and not made.deployments.items)
            if propagation == "Foreground":
                assert seen[-1] == ("DELETED", 0), "the owner goes last"

    run(main())


@scene
async def test_a_namespace_goes_with_everything_in_it():
    async with world(1) as made:
        await made.client.create(NAMESPACES, {"metadata": {"name": "t"}})
        document = deployment()
        document["metadata"]["namespace"] = "t"
        await made.client.create(DEPLOYMENTS, document)
        await made.client.create(SERVICES, _service(), namespace="t")
        await made.until(lambda: sum(map(pod_rules.is_ready, made.active("web"))) == 3)
        await made.client.delete(NAMESPACES, "t")
        await made.until(lambda: not made.pods.items and not made.deployments.items)
        async with asyncio.timeout(10):
            while "t" in [one.metadata.name for one in (await made.client.list(NAMESPACES)).items]:
                await asyncio.sleep(0.1)
        assert (await made.client.list(SERVICES, namespace="t")).items == []


@scene
async def test_a_pod_too_large_waits_with_a_reason_and_starts_when_there_is_room():
    async with world(1) as made:
        await made.client.create(PODS, _pod("hog-a", "3"), namespace="default")
        await made.client.create(PODS, _pod("hog-b", "3"), namespace="default")
        await made.until(lambda: sum(map(pod_rules.is_ready, made.pods.items.values())) == 2)
        await made.client.create(PODS, _pod("late", "2"), namespace="default")

        def reason():
            late = made.pods.get("default/late")
            found = pod_rules.condition(late, "PodScheduled") if late else None
            return found.message if found else None

        await made.until(lambda: reason() == "0/2 nodes are available: 2 Insufficient cpu.")
        await made.client.delete(PODS, "hog-a", namespace="default")
        await made.until(lambda: pod_rules.is_ready(made.pods.get("default/late")), within_s=15)


@scene
async def test_a_rollout_that_cannot_start_keeps_the_old_pods_and_undo_heals_it():
    async with world(1) as made:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        await made.client.create(
            DEPLOYMENTS, deployment(strategy=strategy, progressDeadlineSeconds=60, minReadySeconds=2)
        )
        await made.settle("web")
        before = {pod.metadata.uid for pod in made.active("web")}
        made.min_available["web"] = 3
        made.max_pods["web"] = 4
        await patch(made, "web", image("broken"))

        def progress():
            conditions = made.deployments.get("default/web").status.conditions
            return next(one.reason for one in conditions if one.type == "Progressing")

        await made.until(lambda: progress() == "ProgressDeadlineExceeded", within_s=90)
        assert before < {pod.metadata.uid for pod in made.active("web")}
        await patch(made, "web", image("v1"))
        await made.settle("web")
        assert before == {pod.metadata.uid for pod in made.active("web")}
        await made.until(lambda: progress() == "NewReplicaSetAvailable")
        assert made.violations == []


@scene
async def test_recreate_never_runs_two_templates_side_by_side():
    async with world(1) as made:
        await made.client.create(DEPLOYMENTS, deployment(strategy={"type": "Recreate"}))
        await made.settle("web")
        images = []

        def watch(type_, old, new):
            images.append({pod.spec.containers[0].image for pod in made.pods.items.values()})

        made.pods.add_handler(watch)
        await patch(made, "web", image("v2"))
        await made.settle("web")
        assert all(len(seen) <= 1 for seen in images)
        assert {pod.spec.containers[0].image for pod in made.active("web")} == {"v2"}


@scene
async def test_slices_follow_the_pods_of_a_service():
    async with world(1) as made:
        await made.client.create(SERVICES, _service(), namespace="default")
        await made.client.create(DEPLOYMENTS, deployment())
        await made.settle("web")

        async def addresses():
            slices = (await made.client.list(ENDPOINTSLICES, namespace="default")).items
            return sorted(
                address
                for one in slices
                if one.metadata.labels.get("kubernetes.io/service-name") == "web"
                for endpoint in one.endpoints or ()
                if endpoint.conditions.ready
                for address in endpoint.addresses
            )

        for replicas in (3, 5, 1):
            await patch(made, "web", {"replicas": replicas})
            await made.settle("web")
            await asyncio.sleep(1)
            assert await addresses() == sorted(pod.status.podIP for pod in made.active("web"))
        await made.client.delete(SERVICES, "web", namespace="default")
        await asyncio.sleep(2)
        assert await addresses() == []


@scene
async def test_a_pod_of_another_scheduler_is_left_alone():
    async with world(1) as made:
        other = _pod("other", "1")
        other["spec"]["schedulerName"] = "mine"
        await made.client.create(PODS, other, namespace="default")
        await made.client.create(PODS, _pod("ours", "1"), namespace="default")
        await made.until(
            lambda: "default/ours" in made.pods.items and pod_rules.is_ready(made.pods.get("default/ours"))
        )
        assert made.pods.get("default/other").spec.nodeName is None


@scene
async def test_a_second_binding_is_refused():
    async with world(1) as made:
        await made.client.create(PODS, _pod("p", "1"), namespace="default")
        await made.until(lambda: "default/p" in made.pods.items and made.pods.get("default/p").spec.nodeName)
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
        with pytest.raises(StatusError) as caught:
            await made.client.create_subresource(PODS, "p", "binding", binding, namespace="default")
        assert caught.value.reason == "Conflict"


def _pod(name, cpu):
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]},
    }


def _service():
    return {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
