"""ConfigMap, EndpointSlice, Event, Lease, Namespace, Node; and what holds for every kind."""

import pytest

from control.apiserver.resources.kinds import KINDS, created, faults, update_faults, updated
from minik8s.control.apiserver.resources import ALL, STORED

META = {"name": "x"}
ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
TAINT = {"key": "a", "effect": "NoSchedule"}


def endpointslice(*endpoints, ports=(), kind="IPv4"):
    return {"metadata": META, "addressType": kind, "endpoints": list(endpoints), "ports": list(ports)}


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        ("ConfigMap", {"metadata": META, "data": {"a": "b"}, "binaryData": {"c": "aGk="}}, []),
        (
            "ConfigMap",
            {"metadata": META, "data": {"..": "b", "c": ""}, "binaryData": {"c": "aGk="}},
            [
                "data[..]: Invalid value: \"..\": must not be '..'",
                'data[c]: Invalid value: "c": duplicate of key present in binaryData',
            ],
        ),
        (
            "ConfigMap",
            {"metadata": META, "data": {"a": "b" * (1024 * 1024 + 1)}},
            ["[]: Too long: may not be more than 1048576 bytes"],
        ),
        (
            "ConfigMap",
            {"metadata": META | {"annotations": {"a": "b" * 256 * 1024}}},
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        (
            "ConfigMap",
            {"metadata": META | {"finalizers": ["mine", "orphan", "foregroundDeletion", "a.b/c"]}},
            [
                'metadata.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it '
                "fully qualified",
                'metadata.finalizers: Invalid value: ["mine","orphan","foregroundDeletion","a.b/c"]: finalizer orphan '
                "and foregroundDeletion cannot be both set",
            ],
        ),
        ("EndpointSlice", endpointslice({"addresses": ["127.0.0.2"]}, ports=[{"port": 80}]), []),
        ("EndpointSlice", endpointslice({"addresses": ["a.b"]}, kind="FQDN"), []),
        (
            "EndpointSlice",
            endpointslice({"addresses": ["x", "::1"]}, {}, ports=[{"port": 0}, {"protocol": "X"}]),
            [
                f'endpoints[0].addresses[0]: Invalid value: "x": {ADDRESS}',
                'endpoints[0].addresses[1]: Invalid value: "::1": must be an IPv4 address',
                "endpoints[1].addresses: Required value: must contain at least 1 address",
                "ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                'ports[1].name: Duplicate value: ""',
                'ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
            ],
        ),
        ("EndpointSlice", {"metadata": META}, ["addressType: Required value"]),
        (
            "EndpointSlice",
            endpointslice(*[{"addresses": ["10.0.0.1"]}] * 1001),
            ["endpoints: Too many: 1001: must have at most 1000 items"],
        ),
        ("Event", {"metadata": META | {"namespace": "a"}, "involvedObject": {"namespace": "a"}}, []),
        ("Event", {"metadata": META | {"namespace": "default"}, "involvedObject": {"kind": "Node"}}, []),
        (
            "Event",
            {"metadata": META | {"namespace": "a"}, "involvedObject": {"namespace": "b"}},
            ['involvedObject.namespace: Invalid value: "b": does not match event.namespace'],
        ),
        (
            "Event",
            {"metadata": META | {"namespace": "default"}, "eventTime": "2026-11-20T10:00:00.000000Z"},
            [
                "reportingController: Required value",
                "reason: Required value",
                'type: Unsupported value: "": supported values: "Normal", "Warning"',
            ],
        ),
        (
            "Lease",
            {"metadata": META, "spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}},
            [
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            ],
        ),
        ("Node", {"metadata": META}, []),
        (
            "Node",
            {"metadata": META, "spec": {"taints": [TAINT, TAINT, {"key": "b"}, {"key": "c", "effect": "No"}]}},
            [
                'spec.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}',
                "spec.taints[2].effect: Required value",
                'spec.taints[3].effect: Unsupported value: "No": supported values: "NoExecute", "NoSchedule", '
                '"PreferNoSchedule"',
            ],
        ),
    ],
)
def test_a_document_is_validated_in_upstreams_words(kind, document, expected):
    assert faults(kind, document) == expected


@pytest.mark.parametrize(
    ("kind", "new", "old", "expected"),
    [
        (
            "ConfigMap",
            {"metadata": META, "data": {"a": "c"}},
            {"metadata": META, "data": {"a": "b"}, "immutable": True},
            [f"{field}: Forbidden: field is immutable when `immutable` is set" for field in ("immutable", "data")],
        ),
        ("ConfigMap", {"metadata": META, "immutable": True}, {"metadata": META}, []),
        (
            "EndpointSlice",
            endpointslice(kind="IPv6"),
            endpointslice(),
            ['addressType: Invalid value: "IPv6": field is immutable'],
        ),
        (
            "Node",
            {"metadata": META, "spec": {"podCIDR": "10.1.0.0/24"}},
            {"metadata": META, "spec": {"podCIDR": "10.2.0.0/24"}},
            ['spec.podCIDR: Forbidden: node updates may not change podCIDR except from "" to valid'],
        ),
    ],
)
def test_what_must_stay_stays(kind, new, old, expected):
    assert update_faults(kind, new, old) == expected


def test_a_namespace_is_marked_with_its_name_and_emptied_before_it_goes():
    made = created("Namespace", {"metadata": {"name": "team"}, "status": {"phase": "Odd"}})
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    kept = updated("Namespace", {"metadata": {"name": "team"}, "spec": {"finalizers": []}}, made)
    assert kept["spec"] == {"finalizers": ["kubernetes"]}


def test_a_node_registers_with_its_status():
    made = created("Node", {"metadata": META, "status": {"capacity": {"cpu": "4"}}})
    assert {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}.items() <= made["status"].items()


@pytest.mark.parametrize(
    ("kind", "name", "is_good"),
    [
        ("Pod", "a.b", True),
        ("Pod", "A", False),
        ("Namespace", "a.b", False),
        ("Service", "1a", False),
        ("Service", "a1", True),
        ("Node", "n1.local", True),
    ],
)
def test_names_follow_the_rule_of_their_kind(kind, name, is_good):
    assert (KINDS[kind].validate_name(name) is None) is is_good


@pytest.mark.parametrize("resource", ALL, ids=lambda item: item.plural)
def test_every_kind_announces_the_fields_and_cells_it_has(resource):
    bare = {"metadata": {"name": "x"}}
    assert set(resource.fields(bare)) == set(resource.field_names)
    assert len(resource.row(bare, 0.0)) == len(resource.columns)
    assert all(isinstance(value, str) for value in resource.fields(bare).values())


def test_no_two_kinds_share_a_name_or_a_place_in_the_store():
    for attribute in ("kind", "storage_prefix"):
        assert len({getattr(resource, attribute) for resource in STORED}) == len(STORED)
    # A plural may be its singular: endpoints.
    names = [name for item in STORED for name in ({item.plural, item.singular_name} | set(item.short_names))]
    assert len(set(names)) == len(names)
