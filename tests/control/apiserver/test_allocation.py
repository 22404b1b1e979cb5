"""Service addresses: picked, honoured, exclusive; alone and through the write path of two apiservers over one store."""

import asyncio
import json
import random

import pytest

from control.apiserver.harness import ADMIN, local_core, local_store
from control.apiserver.resources.kinds import created, service
from control.apiserver.running import run
from control.apiserver.test_recorded import attributes_of
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.allocation import NODE_PORTS, ServiceAddresses
from minik8s.control.apiserver.core import CoreConfig

SMALL = "10.0.0.0/28"  # Room for 14 addresses, of which one is the API's own.


def allocate(document, cidr=SMALL, old=None, seed=1):
    plugin = ServiceAddresses(service_cidr=cidr, random=random.Random(seed))
    document = created("Service", document)
    given = attributes_of("Service", old=old, verb="update" if old else "create")
    run(plugin.mutate(document, given))
    run(plugin.validate(document, given))
    return document["spec"]


@pytest.mark.parametrize("seed", range(30))
def test_an_address_is_picked_from_the_range(seed):
    spec = allocate(service(), seed=seed)
    assert spec["clusterIP"] in {f"10.0.0.{host}" for host in range(2, 15)}
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


def test_an_address_that_is_asked_for_is_honoured():
    assert allocate(service(clusterIP="10.0.0.9"))["clusterIPs"] == ["10.0.0.9"]


def test_node_ports_are_picked_apart():
    ports = allocate(service(*[{"name": f"p{n}", "port": n} for n in range(1, 50)], type="NodePort"))["ports"]
    picked = [port["nodePort"] for port in ports]
    assert len(set(picked)) == len(picked)
    assert set(picked) <= set(NODE_PORTS)


@pytest.mark.parametrize(
    ("document", "lacks"),
    [(service(clusterIP="None"), "nodePort"), (service(type="ExternalName", externalName="a.b"), "clusterIP")],
)
def test_who_wants_no_address_gets_none(document, lacks):
    assert lacks not in json.dumps(allocate(document))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            service(clusterIP="10.0.1.1"),
            'spec.clusterIPs: Invalid value: ["10.0.1.1"]: failed to allocate IP 10.0.1.1: the provided IP (10.0.1.1) '
            "is not in the valid range. The range of valid IPs is 10.0.0.0/28",
        ),
        (
            service({"port": 80, "nodePort": 80}, type="NodePort"),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid "
            "ports is 30000-32767",
        ),
    ],
)
def test_what_is_not_ours_to_give_is_refused(document, message):
    with pytest.raises(StatusError) as caught:
        allocate(document)
    assert caught.value.message == f'Service "x" is invalid: {message}'


def test_two_apiservers_never_give_out_an_address_twice():
    async def scenario():
        config = CoreConfig(service_cidr=SMALL)
        async with (
            local_store() as store,
            local_core(config=config, store=store, seed=1) as one,
            local_core(config=config, store=store, seed=1) as two,
        ):
            handlers = [core.api.as_user(ADMIN) for core in (one, two)]

            async def create(number):
                body = json.dumps(service() | {"metadata": {"name": f"s{number}"}}).encode()
                request = Request("create", "", "v1", "services", "default", body=body)
                response = await handlers[number % 2].call(request)
                return json.loads(response.body)["spec"]["clusterIP"]

            picked = await asyncio.gather(*(create(number) for number in range(8)))
            assert len(set(picked)) == 8

            body = json.dumps(service(clusterIP=picked[0]) | {"metadata": {"name": "late"}}).encode()
            request = Request("create", "", "v1", "services", "default", body=body)
            with pytest.raises(StatusError, match="provided IP is already allocated"):
                await handlers[1].call(request)
            # What goes gives its address back.
            await handlers[0].call(Request("delete", "", "v1", "services", "default", "s0"))
            assert json.loads((await handlers[1].call(request)).body)["spec"]["clusterIP"] == picked[0]

    run(scenario())
