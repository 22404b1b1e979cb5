"""pods/ephemeralcontainers and pods/resize: what may change through them, and what may not."""

import pytest

from control.apiserver.admission.world import asks, cluster, pod
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError
from minik8s.api.request import STRATEGIC_MERGE_PATCH


async def refusal(awaitable):
    with pytest.raises(StatusError) as caught:
        await awaitable
    return caught.value


def debugger(name="d", **more):
    return {"name": name, "image": "busybox", "stdin": True, **more}


def containers(*items):
    return {"spec": {"ephemeralContainers": list(items)}}


@scenario
async def test_a_debugger_is_added_and_stays():
    async with cluster() as made:
        await made.create("pods", pod("p", nodeName="n"))
        body = containers(debugger(targetContainerName="a"))
        await made.call(
            "patch", "pods", "p", body, subresource="ephemeralcontainers", content_type=STRATEGIC_MERGE_PATCH
        )
        stored = await made.get("pods", "p")
        [container] = stored["spec"]["ephemeralContainers"]
        assert (container["terminationMessagePolicy"], container["imagePullPolicy"]) == ("File", "Always")
        assert stored["spec"]["containers"][0]["name"] == "a"
        for change, why in (
            (containers(), 'existing ephemeral containers "d" may not be removed'),
            (containers(debugger(image="other")), 'existing ephemeral containers "d" may not be changed'),
        ):
            found = await refusal(made.patch("pods", "p", change, subresource="ephemeralcontainers"))
            assert (found.code, found.causes[0].field) == (422, "spec.ephemeralContainers")
            assert found.causes[0].message.startswith(f"Forbidden: {why}")
        # Nothing else comes in by this way, and these do not come in by another.
        more = containers(debugger(targetContainerName="a", **_defaults()), debugger("e"))
        more["spec"]["nodeName"] = "m"
        after = await made.patch("pods", "p", more, subresource="ephemeralcontainers")
        assert (after["spec"]["nodeName"], len(after["spec"]["ephemeralContainers"])) == ("n", 2)
        assert (await refusal(made.patch("pods", "p", containers(debugger("f"))))).code == 422


def _defaults():
    return {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always",
    }


@pytest.mark.parametrize(
    ("container", "field", "why"),
    [
        (debugger("a"), "name", 'Duplicate value: "a"'),
        (debugger(targetContainerName="x"), "targetContainerName", 'Not found: "x"'),
        (debugger(ports=[{"containerPort": 1}]), "ports", "Forbidden: cannot be set for an Ephemeral Container"),
        (
            debugger(resources={"limits": {"cpu": "1"}}),
            "resources",
            "Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            debugger(livenessProbe={"exec": {"command": ["a"]}}),
            "livenessProbe",
            "Forbidden: cannot be set for an Ephemeral Container",
        ),
        ({"name": "d"}, "image", "Required value"),
    ],
)
def test_a_debugger_is_nothing_to_rely_on(container, field, why):
    @scenario
    async def main():
        async with cluster() as made:
            await made.create("pods", pod("p"))
            found = await refusal(made.patch("pods", "p", containers(container), subresource="ephemeralcontainers"))
            assert (f"spec.ephemeralContainers[0].{field}", why) in {(one.field, one.message) for one in found.causes}

    main()


@scenario
async def test_a_pod_does_not_begin_with_a_debugger():
    async with cluster() as made:
        found = await refusal(made.create("pods", pod("p", ephemeralContainers=[debugger()])))
        assert found.message == 'Pod "p" is invalid: spec.ephemeralContainers: Forbidden: cannot be set on create'


def resources(requests, limits, name="a"):
    return {"spec": {"containers": [{"name": name, "resources": {"requests": requests, "limits": limits}}]}}


async def resize(made, body, **more):
    return await made.call("patch", "pods", "p", body, subresource="resize", content_type=STRATEGIC_MERGE_PATCH, **more)


@scenario
async def test_a_pod_is_resized_in_place():
    async with cluster() as made:
        await made.create("pods", pod("p", asks({"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "1Gi"})))
        body = resources({"cpu": "1500m"}, {})
        body["spec"]["containers"][0]["image"] = "other"
        await resize(made, body)
        stored = await made.get("pods", "p")
        [container] = stored["spec"]["containers"]
        assert (container["resources"]["requests"], container["image"]) == ({"cpu": "1500m", "memory": "1Gi"}, "i")
        assert stored["metadata"]["generation"] == 2
        assert (await refusal(made.patch("pods", "p", resources({"cpu": "1"}, {"cpu": "2"})))).code == 422


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (resources({"cpu": "2"}, {}), 'spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result'),
        (
            resources({"cpu": None}, {}),
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (resources({"ephemeral-storage": "1Gi"}, {}), "spec: Forbidden: only cpu and memory resources are mutable"),
        (resources({"cpu": "3"}, {}), "must be less than or equal to cpu limit of 2"),
    ],
)
def test_a_resize_changes_how_much_and_nothing_else(body, why):
    @scenario
    async def main():
        async with cluster() as made:
            await made.create("pods", pod("p", asks({"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "1Gi"})))
            found = await refusal(resize(made, body))
            assert found.code == 422
            assert why in found.message

    main()


@scenario
async def test_a_resize_stays_within_limits_and_quotas():
    async with cluster() as made:
        await made.create("pods", pod("p", asks({"cpu": "1"}, {"cpu": "2"})))
        limits = {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "3"}}]}}
        await made.create("limitranges", limits)
        hard = {"requests.cpu": "1200m"}
        await made.create("resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})
        await made.patch(
            "resourcequotas", "q", {"status": {"hard": hard, "used": {"requests.cpu": "1"}}}, subresource="status"
        )
        found = await refusal(resize(made, resources({}, {"cpu": "4"})))
        assert "maximum cpu usage per Container is 3, but limit is 4" in found.message
        found = await refusal(resize(made, resources({"cpu": "1500m"}, {})))
        assert "exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=1" in found.message
        await resize(made, resources({"cpu": "1100m"}, {}))
        assert (await made.get("resourcequotas", "q"))["status"]["used"] == {"requests.cpu": "1100m"}
