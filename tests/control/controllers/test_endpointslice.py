"""What becomes of a Service's slices, by table."""

import pytest

from control.controllers.factories import as_slice, at, pod, service
from minik8s.control.controllers.endpointslice import ENDPOINTS_MAX, endpoint_of, plan, ports_of


def many(count, start=0):
    return [pod(f"p{number:04}", ip=f"10.0.{number // 200}.{number % 200}") for number in range(start, start + count)]


def settled(pods, **spec):
    """The slices that a first look makes."""
    return [as_slice(document) for document in plan(service(**spec), pods, []).create]


@pytest.mark.parametrize(
    ("one", "publish", "conditions"),
    [
        (pod(), False, (True, True, False)),
        (pod(ready=False), False, (False, False, False)),
        (pod(ready=False), True, (True, False, False)),
        (pod(deletionTimestamp=at(0)), False, (False, True, True)),
        (pod(phase="Succeeded"), False, None),
        (pod(ip=""), False, None),
    ],
    ids=["ready", "not ready", "published anyway", "terminating", "finished", "no address"],
)
def test_conditions_say_ready_serving_terminating(one, publish, conditions):
    found = endpoint_of(one, publish_not_ready=publish)
    if conditions is None:
        assert found is None
    else:
        assert tuple(found["conditions"][key] for key in ("ready", "serving", "terminating")) == conditions


def test_named_target_ports_are_looked_up_in_each_pod():
    one, other = pod("a"), pod("b")
    one.spec.containers[0].ports = [_port("http", 8080)]
    other.spec.containers[0].ports = [_port("http", 9090)]
    asked = service(ports=[{"name": "web", "port": 80, "targetPort": "http"}])
    assert ports_of(asked, one) == [{"name": "web", "protocol": "TCP", "port": 8080}]
    made = plan(asked, [one, other], []).create
    assert sorted(document["ports"][0]["port"] for document in made) == [8080, 9090]
    assert len({document["metadata"]["name"] for document in made}) == 2


def test_a_service_without_pods_has_one_empty_slice():
    made = plan(service(), [], []).create
    assert len(made) == 1 and made[0]["endpoints"] == [] and made[0]["ports"] == []
    again = plan(service(), [], [as_slice(made[0])])
    assert (again.create, again.patch, again.delete) == ([], [], [])


def test_a_slice_holds_a_hundred_and_the_rest_goes_to_another():
    made = plan(service(), many(250), []).create
    assert [len(document["endpoints"]) for document in made] == [100, 100, 50]
    labels = made[0]["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "web"
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"


def test_a_second_look_changes_nothing():
    pods = many(250)
    again = plan(service(), pods, settled(pods))
    assert (again.create, again.patch, again.delete) == ([], [], [])


def test_one_pods_change_is_one_slices_patch():
    pods = many(250)
    slices = settled(pods)
    pods[3] = pod("p0003", ready=False, ip="10.0.0.3")
    decided = plan(service(), pods, slices)
    assert (decided.create, decided.delete, len(decided.patch)) == ([], [], 1)
    pods = pods[:150] + pods[151:]
    assert len(plan(service(), pods, slices).patch) == 2


def test_freed_places_are_filled_before_slices_are_added():
    slices = settled(many(200))
    pods = many(199, start=1) + many(1, start=900)
    decided = plan(service(), pods, slices)
    assert (decided.create, decided.delete) == ([], [])
    assert [len(patch["endpoints"]) for _, patch in decided.patch] == [ENDPOINTS_MAX]


def test_slices_that_became_empty_go():
    slices = settled(many(150))
    decided = plan(service(), many(90), slices)
    assert len(decided.delete) == 1 and len(decided.patch) == 1


def _port(name, number):
    from minik8s.api.core_v1 import ContainerPort

    return ContainerPort(containerPort=number, name=name, protocol="TCP")
