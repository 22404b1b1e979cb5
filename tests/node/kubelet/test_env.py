"""Environments: expansion, references, service links."""

import msgspec
import pytest

from minik8s.api.core_v1 import ConfigMap, Container, Service
from minik8s.node.kubelet.env import environment
from minik8s.node.kubelet.expansion import expand
from minik8s.node.kubelet.fields import Addresses, ConfigError
from tests.node.kubelet.factories import make_pod

ADDRESSES = Addresses(pod_ip="127.9.0.2", host_ip="10.0.0.1", allocatable={"cpu": "4", "memory": "8Gi"})
SETTINGS = msgspec.convert({"metadata": {"name": "cm"}, "data": {"A": "1", "b.c": "2", "bad=key": "3"}}, ConfigMap)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(A)z", "x1y1z"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$()", "$()"),
    ],
)
def test_expansion(text, expected):
    assert expand(text, {"A": "1"}) == expected


def env_of(container: dict, services=(), pod=None) -> dict[str, str]:
    made = msgspec.convert({"name": "c"} | container, Container)
    return environment(pod or make_pod(), made, configmaps={"cm": SETTINGS}, services=services, addresses=ADDRESSES)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ({"value": "v"}, "v"),
        ({}, ""),
        ({"value": "http://$(POD_IP):80"}, "http://127.9.0.2:80"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "web"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, "127.9.0.2"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}, "10.0.0.1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['none']"}}}, ""),
        ({"valueFrom": {"configMapKeyRef": {"name": "cm", "key": "A"}}}, "1"),
        ({"valueFrom": {"configMapKeyRef": {"name": "none", "key": "A", "optional": True}}}, None),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}, "4"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}, "8192"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}}, "0"),
    ],
)
def test_a_variable(variable, expected):
    assert env_of({"env": [{"name": "V"} | variable]}).get("V") == expected


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
        ({"envFrom": [{"secretRef": {"name": "s"}}]}, 'secret "s" not found'),
        (
            {"env": [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "z"}}}]},
            "couldn't find key z in ConfigMap default/cm",
        ),
        ({"env": [{"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}, "unsupported fieldPath: spec.x"),
    ],
)
def test_what_is_not_there_is_named(container, message):
    with pytest.raises(ConfigError, match=message):
        env_of(container)


def test_later_sources_win_and_keys_that_cannot_be_names_are_left_out():
    container = {"envFrom": [{"configMapRef": {"name": "cm"}, "prefix": ""}], "env": [{"name": "A", "value": "own"}]}
    assert env_of(container) == {"POD_IP": "127.9.0.2", "A": "own", "b.c": "2"}


def test_services_of_the_namespace_are_linked_unless_the_pod_declines():
    def service(name: str, namespace: str = "default", ip: str = "127.3.0.9") -> Service:
        ports = [{"name": "http", "port": 80}, {"name": "other-one", "port": 81}]
        return msgspec.convert(
            {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}}, Service
        )

    services = [service("my-db"), service("far", "other"), service("headless", ip="None")]
    env = env_of({}, services)
    assert {key: value for key, value in env.items() if key != "POD_IP"} == {
        "MY_DB_SERVICE_HOST": "127.3.0.9",
        "MY_DB_SERVICE_PORT": "80",
        "MY_DB_SERVICE_PORT_HTTP": "80",
        "MY_DB_SERVICE_PORT_OTHER_ONE": "81",
        "MY_DB_PORT": "tcp://127.3.0.9:80",
        "MY_DB_PORT_80_TCP": "tcp://127.3.0.9:80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_ADDR": "127.3.0.9",
        "MY_DB_PORT_81_TCP": "tcp://127.3.0.9:81",
        "MY_DB_PORT_81_TCP_PROTO": "tcp",
        "MY_DB_PORT_81_TCP_PORT": "81",
        "MY_DB_PORT_81_TCP_ADDR": "127.3.0.9",
    }
    declined = env_of({}, [*services, service("kubernetes")], pod=make_pod(enableServiceLinks=False))
    assert {key.split("_")[0] for key in declined} == {"POD", "KUBERNETES"}
