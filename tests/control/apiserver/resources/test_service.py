"""Services: defaults, validation, what an update keeps, what the object claims."""

import pytest

from control.apiserver.resources.kinds import KINDS, created, faults, service, update_faults, updated

ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
RANGE = "must be between 1 and 65535, inclusive"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (service(), []),
        (service(clusterIP="None"), []),
        ({"metadata": {"name": "s"}, "spec": {"clusterIP": "None"}}, []),
        ({"metadata": {"name": "s"}, "spec": {}}, ["spec.ports: Required value"]),
        (
            service(type="Magic"),
            [
                'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", '
                '"LoadBalancer", "NodePort"'
            ],
        ),
        (
            service({"port": 80}, {"port": 81}),
            ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
        ),
        (
            service({"name": "a", "port": 80}, {"name": "a", "port": 80}),
            [
                'spec.ports[1].name: Duplicate value: "a"',
                'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80}',
            ],
        ),
        (service({"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}), []),
        (
            service({"port": 0}),
            [
                f"spec.ports[0].port: Invalid value: 0: {RANGE}",
                f"spec.ports[0].targetPort: Invalid value: 0: {RANGE}",
            ],
        ),
        (
            service({"port": 80, "targetPort": "80"}),
            ['spec.ports[0].targetPort: Invalid value: "80": must contain at least one letter (a-z)'],
        ),
        (
            service({"port": 80, "nodePort": 30000}),
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        ),
        (service(clusterIP="x"), [f'spec.clusterIPs[0]: Invalid value: "x": {ADDRESS}']),
        (
            service(clusterIP="None", type="NodePort"),
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        ),
        (
            service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.2"]),
            ['spec.clusterIPs: Invalid value: ["10.0.0.2"]: first value must match `clusterIP`'],
        ),
        (service(type="ExternalName"), ["spec.externalName: Required value"]),
        (service(type="ExternalName", externalName="a.example.com."), []),
        (
            service(sessionAffinity="Node", externalIPs=["a"]),
            [
                f'spec.externalIPs[0]: Invalid value: "a": {ADDRESS}',
                'spec.sessionAffinity: Unsupported value: "Node": supported values: "ClientIP", "None"',
            ],
        ),
    ],
)
def test_a_service_is_validated_in_upstreams_words(document, expected):
    assert faults("Service", document) == expected


GIVEN = service({"port": 80, "nodePort": 30001}, type="NodePort", clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"])


def test_an_update_that_names_no_address_keeps_it():
    old = created("Service", GIVEN)
    spec = updated("Service", service(type="NodePort"), old)["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("10.0.0.1", ["10.0.0.1"])
    assert spec["ports"][0]["nodePort"] == 30001


def test_an_update_that_gives_up_node_ports_gives_them_back():
    old = created("Service", GIVEN)
    spec = updated("Service", GIVEN | {"spec": GIVEN["spec"] | {"type": "ClusterIP"}}, old)["spec"]
    assert "nodePort" not in spec["ports"][0]
    assert spec["clusterIP"] == "10.0.0.1"
    assert "externalTrafficPolicy" not in spec


def test_an_update_to_a_name_gives_the_address_back():
    old = created("Service", GIVEN)
    new = GIVEN | {"spec": GIVEN["spec"] | {"type": "ExternalName", "externalName": "a.b"}}
    made = updated("Service", new, old)
    assert "clusterIP" not in made["spec"]
    assert KINDS["Service"].claims(made) == []


def test_an_address_never_changes():
    new = service(clusterIP="10.0.0.2", type="NodePort")
    assert update_faults("Service", new, GIVEN)[-1] == (
        'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set'
    )


def test_a_service_claims_its_address_and_its_node_ports():
    claims = KINDS["Service"].claims(created("Service", GIVEN))
    assert [claim.name for claim in claims] == ["serviceips/10.0.0.1", "servicenodeports/TCP/30001"]
    assert [f"{claim.taken.field}: {claim.taken.message}" for claim in claims] == [
        'spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: provided IP is already '
        "allocated",
        "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated",
    ]
    assert KINDS["Service"].claims(created("Service", service(clusterIP="None"))) == []
