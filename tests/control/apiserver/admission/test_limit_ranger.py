"""LimitRanger: defaults, bounds, upstream's words."""

import pytest

from control.apiserver.admission.world import asks, cluster, pod
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError


def limit_range(kind="Container", **parts):
    return {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": kind, **parts}]}}


@scenario
async def test_who_asks_for_nothing_gets_the_defaults_and_a_note_of_it():
    async with cluster() as made:
        await made.create(
            "limitranges",
            limit_range(default={"cpu": "200m", "memory": "128Mi"}, defaultRequest={"cpu": "100m", "memory": "64Mi"}),
        )
        plain = pod("plain", {"name": "a"}, initContainers=[{"name": "i", "image": "i"}])
        stored = await made.create("pods", plain)
        assert stored["spec"]["containers"][0]["resources"] == {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "200m", "memory": "128Mi"},
        }
        assert stored["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
            "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; "
            "cpu, memory request for init container i; cpu, memory limit for init container i"
        )
        assert stored["status"]["qosClass"] == "Burstable", "as upstream: from what it asks for in the end"
        half = await made.create("pods", pod("half", asks({"cpu": "1m"}, {"cpu": "2m"})))
        assert half["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1m", "memory": "64Mi"}
        assert half["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
            "LimitRanger plugin set: memory request for container a; memory limit for container a"
        )
        all_said = asks({"cpu": "1m", "memory": "1"}, {"cpu": "2m", "memory": "2"})
        assert "annotations" not in (await made.create("pods", pod("said", all_said)))["metadata"]


@pytest.mark.parametrize(
    ("kind", "parts", "containers", "why"),
    [
        (
            "Container",
            {"min": {"cpu": "50m"}},
            [asks({"cpu": "40m"}, {"cpu": "60m"})],
            "minimum cpu usage per Container is 50m, but request is 40m",
        ),
        (
            "Container",
            {"max": {"cpu": "500m"}},
            [asks({"cpu": "1"}, {"cpu": "1"})],
            "maximum cpu usage per Container is 500m, but limit is 1",
        ),
        (
            "Pod",
            {"max": {"memory": "1Gi"}},
            [asks({}, {"memory": "1Gi"}), asks({}, {"memory": "1Mi"}, name="b")],
            "maximum memory usage per Pod is 1Gi, but limit is 1025Mi",
        ),
        ("Pod", {"min": {"cpu": "1"}}, [asks()], "minimum cpu usage per Pod is 1.  No request is specified"),
        ("Pod", {"max": {"cpu": "1"}}, [asks()], "maximum cpu usage per Pod is 1.  No limit is specified"),
        (
            "Container",
            {"maxLimitRequestRatio": {"cpu": "1500m"}},
            [asks({"cpu": "100m"}, {"cpu": "200m"})],
            "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000",
        ),
        (
            "Container",
            {"maxLimitRequestRatio": {"cpu": "2"}},
            [asks()],
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        (
            "Container",
            {"max": {"cpu": "1", "memory": "1Gi"}},
            [asks({"cpu": "2", "memory": "2Gi"}, {"cpu": "2", "memory": "2Gi"})],
            "[maximum cpu usage per Container is 1, but limit is 2, "
            "maximum memory usage per Container is 1Gi, but limit is 2Gi]",
        ),
    ],
)
def test_bounds_are_kept(kind, parts, containers, why):
    @scenario
    async def main():
        async with cluster() as made:
            await made.create("limitranges", limit_range(kind, **parts))
            with pytest.raises(StatusError) as caught:
                await made.create("pods", pod("p", *containers))
            assert (caught.value.code, caught.value.message) == (403, f'pods "p" is forbidden: {why}')

    main()


@scenario
async def test_claims_have_bounds_too_and_what_stays_is_not_judged_again():
    claim = {
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }
    async with cluster() as made:
        await made.create("persistentvolumeclaims", claim)
        bounds = {"min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
        await made.create("limitranges", limit_range("PersistentVolumeClaim", **bounds))
        await made.patch("persistentvolumeclaims", "c", {"metadata": {"labels": {"a": "b"}}})
        with pytest.raises(StatusError) as caught:
            await made.create("persistentvolumeclaims", claim | {"metadata": {"name": "d"}})
        assert caught.value.message == (
            'persistentvolumeclaims "d" is forbidden: '
            "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"
        )
