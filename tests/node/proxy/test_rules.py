"""From Services and EndpointSlices to rules."""

import msgspec
import pytest

from minik8s.api.core_v1 import Service
from minik8s.api.discovery_v1 import EndpointSlice
from minik8s.node.proxy.rules import Endpoint, Frontend, Rule, render_rules


def service(name: str = "web", **spec) -> Service:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    document = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": "127.3.0.1", "ports": ports} | spec,
    }
    return msgspec.convert(document, Service)


def endpoint_slice(*endpoints, service_name: str = "web", port_name: str = "http", port: int = 8080) -> EndpointSlice:
    return msgspec.convert(
        {
            "addressType": "IPv4",
            "metadata": {
                "name": f"{service_name}-x",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service_name},
            },
            "endpoints": list(endpoints),
            "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
        },
        EndpointSlice,
    )


def endpoint(ip: str, ready: bool | None = True, serving: bool | None = True, terminating: bool = False) -> dict:
    return {"addresses": [ip], "conditions": {"ready": ready, "serving": serving, "terminating": terminating}}


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([endpoint("b"), endpoint("a")], ["a", "b"], id="sorted"),
        pytest.param([endpoint("a"), endpoint("a")], ["a"], id="once each"),
        pytest.param([endpoint("a"), endpoint("b", ready=False)], ["a"], id="unready ones do not count"),
        pytest.param([endpoint("a", ready=None)], ["a"], id="unknown is ready"),
        pytest.param([{"addresses": ["a"]}], ["a"], id="no conditions is ready"),
        pytest.param([endpoint("a", ready=False, terminating=True)], ["a"], id="ending ones if there is no other"),
        pytest.param([endpoint("a", ready=False, terminating=True), endpoint("b")], ["b"], id="else not"),
        pytest.param([endpoint("a", ready=False, serving=False, terminating=True)], [], id="nor if they do not serve"),
    ],
)
def test_which_endpoints_count(endpoints, expected):
    rules = render_rules([service()], [endpoint_slice(*endpoints)])
    assert rules == {Frontend("127.3.0.1", 80): Rule("default/web:http", tuple(Endpoint(ip, 8080) for ip in expected))}


@pytest.mark.parametrize(
    ("spec", "frontends"),
    [
        ({}, ["127.3.0.1:80/TCP"]),
        ({"clusterIP": "None"}, []),
        ({"clusterIP": ""}, []),
        ({"type": "ExternalName", "clusterIP": None, "externalName": "example.org"}, []),
        ({"clusterIPs": ["127.3.0.1", "127.4.0.1"]}, ["127.3.0.1:80/TCP", "127.4.0.1:80/TCP"]),
        (
            {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]},
            ["127.0.0.1:30080/TCP", "127.3.0.1:80/TCP"],
        ),
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, ["127.3.0.1:53/UDP"]),
    ],
)
def test_where_a_service_is_served(spec, frontends):
    assert sorted(map(str, render_rules([service(**spec)], [], node_ports_ip="127.0.0.1"))) == frontends


def test_slices_of_other_services_and_ports_do_not_count():
    slices = [
        endpoint_slice(endpoint("a"), service_name="other"),
        endpoint_slice(endpoint("b"), port_name="metrics"),
        endpoint_slice(endpoint("c")),
        endpoint_slice(endpoint("d"), port=9090),
    ]
    (rule,) = render_rules([service()], slices).values()
    assert rule.endpoints == (Endpoint("c", 8080), Endpoint("d", 9090))


@pytest.mark.parametrize(
    ("config", "expected"), [(None, 10800), ({"clientIP": {"timeoutSeconds": 60}}, 60), ({"clientIP": {}}, 10800)]
)
def test_session_affinity_lasts_as_long_as_the_service_says(config, expected):
    (rule,) = render_rules([service(sessionAffinity="ClientIP", sessionAffinityConfig=config)], []).values()
    assert rule.affinity_s == expected
