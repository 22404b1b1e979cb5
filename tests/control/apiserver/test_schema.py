"""Decoding: types, unknown and repeated fields, null, formats; in JSON and YAML."""

from itertools import pairwise

import pytest

from minik8s.api.errors import StatusError
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.resources import ALL

KINDS = {resource.kind: resource for resource in ALL}
YAML = "application/yaml"


def decode(kind, body, content_type="application/json", field_validation="Strict"):
    body = body if isinstance(body, bytes) else body.encode()
    return schema.decode(body, content_type, KINDS[kind], field_validation)


def refusal(*args, **kwargs):
    with pytest.raises(StatusError) as caught:
        decode(*args, **kwargs)
    assert caught.value.code in (400, 415)
    return caught.value.message


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        (
            "Deployment",
            '{"spec":{"replicas":"3"}}',
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Deployment",
            '{"spec":{"replicas":3.5}}',
            "json: cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Deployment",
            '{"spec":{"replicas":2147483648}}',
            "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "Deployment",
            '{"spec":{"paused":1}}',
            "json: cannot unmarshal number into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            "Deployment",
            '{"spec":{"template":{"spec":{"containers":"a"}}}}',
            "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type "
            "[]v1.Container",
        ),
        (
            "Deployment",
            '{"spec":{"template":{"spec":{"containers":[{"name":true}]}}}}',
            "json: cannot unmarshal bool into Go struct field Container.spec.template.spec.containers.name of type "
            "string",
        ),
        (
            "Pod",
            '{"metadata":{"labels":{"a":1}}}',
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "Pod",
            '{"spec":[]}',
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
        ),
        (
            "Pod",
            '{"spec":{"containers":[{"resources":{"limits":{"cpu":"much"}}}]}}',
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "Lease",
            '{"spec":{"renewTime":"yesterday"}}',
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        ("ConfigMap", '{"binaryData":{"a":"?"}}', "illegal base64 data at input byte 0"),
        ("ConfigMap", '{"bogus":1}', 'strict decoding error: unknown field "bogus"'),
        (
            "Deployment",
            '{"spec":{"x":1,"template":{"spec":{"containers":[{"name":"a","y":1,"name":"b"}]}}},"spec":{"z":1}}',
            'strict decoding error: duplicate field "spec", unknown field "spec.z"',
        ),
        (
            "Deployment",
            '{"spec":{"x":1,"template":{"spec":{"containers":[{"name":"a","y":1,"name":"b"}]}}}}',
            'strict decoding error: unknown field "spec.x", duplicate field "spec.template.spec.containers[0].name", '
            'unknown field "spec.template.spec.containers[0].y"',
        ),
        (
            "ConfigMap",
            '{"data":{"a":"1","a":"2"}}',
            'strict decoding error: duplicate field "data.a"',
        ),
    ],
)
def test_what_does_not_fit_the_kind_is_told_in_upstreams_words(kind, body, why):
    assert refusal(kind, body) == f'{kind} in version "v1" cannot be handled as a {kind}: {why}'


def test_wrong_types_are_refused_whatever_field_validation_says():
    assert "cannot unmarshal" in refusal("Pod", '{"spec":1}', field_validation="Ignore")


def test_unknown_fields_are_dropped_and_told_if_warned():
    body = '{"data":{"a":"b"},"bogus":{"x":1}}'
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"a": "b"}}
    assert decode("ConfigMap", body, field_validation="Warn") == (kept, ['unknown field "bogus"'])
    assert decode("ConfigMap", body, field_validation="Ignore") == (kept, [])


def test_the_last_of_repeated_fields_counts():
    document, warnings = decode("ConfigMap", '{"data":{"a":"1"},"data":{"a":"2"}}', field_validation="Warn")
    assert (document["data"], warnings) == ({"a": "2"}, ['duplicate field "data"'])


def test_null_means_absent():
    body = '{"metadata":{"creationTimestamp":null,"labels":null},"spec":{"containers":[{"name":"a","env":null}]}}'
    document, _ = decode("Pod", body)
    assert document["metadata"] == {}
    assert document["spec"]["containers"] == [{"name": "a"}]
    assert decode("ConfigMap", '{"data":{"a":null,"b":"c"}}')[0]["data"] == {"b": "c"}


def test_null_has_a_place_in_a_list():
    document, _ = decode("Pod", '{"spec":{"containers":[{"name":"a","args":["x",null]},null]}}')
    assert document["spec"]["containers"] == [{"name": "a", "args": ["x", ""]}, {"name": ""}]


def test_values_are_stored_as_go_would_write_them():
    resources = '{"limits":{"cpu":1,"memory":"1024Mi"},"requests":{"cpu":0.5}}'
    body = f'{{"spec":{{"containers":[{{"name":"a","resources":{resources}}}]}}}}'
    document, _ = decode("Pod", body)
    assert document["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"},
        "requests": {"cpu": "500m"},
    }
    lease, _ = decode("Lease", '{"spec":{"renewTime":"2026-11-20T10:00:00+01:00"}}')
    assert lease["spec"]["renewTime"] == "2026-11-20T09:00:00.000000Z"


def test_fields_the_api_always_has_are_there_for_typed_readers():
    node, _ = decode("Node", '{"status":{"nodeInfo":{"kubeletVersion":"v1"},"daemonEndpoints":{"kubeletEndpoint":{}}}}')
    assert node["status"]["nodeInfo"]["osImage"] == ""
    assert node["status"]["daemonEndpoints"]["kubeletEndpoint"] == {"Port": 0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"kind":"ConfigMap","apiVersion":"v1"}',
            'ConfigMap in version "v1" cannot be handled as a Pod: no kind "ConfigMap" is registered for version "v1" '
            "that pods could be made of",
        ),
        (
            '{"kind":"Pod","apiVersion":"v2"}',
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        ('{"kind":1}', "couldn't get version/kind; json parse error: apiVersion and kind are strings"),
        (
            "",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "Expecting value: line 1 column 1 (char 0) (<empty>)",
        ),
        (
            "[1]",
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "cannot unmarshal array into an object (5b315d)",
        ),
        (
            '{"a":NaN}',
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: "
            "invalid character 'N' looking for beginning of value ({\"a\":NaN})",
        ),
    ],
)
def test_a_body_that_is_no_such_object_is_a_bad_request(body, message):
    assert refusal("Pod", body) == message


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("[" * 100_000, "application/json"),
        ('{"metadata":{"annotations":' * 50_000, "application/json"),
        (
            '{"metadata":{"managedFields":[{"fieldsV1":' + '{"a":' * 250 + "null" + "}" * 250 + "}]}}",
            "application/json",
        ),
        ("[" * 100_000, YAML),
        ("[\n" * 100_000, YAML),
        ("- " * 100_000, YAML),
        ("{a: " * 100_000, YAML),
        ("kind: [", YAML),
        ("a: b\n---\nc: d\n", YAML),
        ("a: *nowhere", YAML),
        ("a: &a [*a]", YAML),
        ("? [a]\n: b", YAML),
        ("<<: 1", YAML),
        (b"\xff\xfe\xff", "application/json"),
        (b"a: \xff", YAML),
        (b"\x00", YAML),
        ('{"metadata":{"name":"\\ud800"}}', "application/json"),
        ('{"metadata":{"name":"' + "9" * 5000, "application/json"),
        ('{"spec":{"leaseTransitions":' + "9" * 5000 + "}}", "application/json"),
        ("spec: {leaseTransitions: " + "9" * 5000 + "}", YAML),
    ],
    ids=lambda value: (value if len(value) < 30 else None) if isinstance(value, str) else None,
)
def test_hostile_bodies_are_refused_and_nothing_else(body, content_type):
    refusal("Lease", body, content_type)


def test_aliases_cannot_fill_the_memory():
    levels = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    levels += [f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in pairwise("abcdefghi")]
    assert "excessive aliasing" in refusal("ConfigMap", "\n".join(levels), YAML)


def test_other_formats_are_unsupported():
    assert "accepted media types include: application/json, application/yaml" in refusal("Pod", "{}", "text/html")


def test_a_missing_content_type_is_json():
    assert decode("Pod", "{}", "")[0]["kind"] == "Pod"
    assert decode("Pod", "{}", "application/json; charset=utf-8")[0]["kind"] == "Pod"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True),
        ("n", False),
        ("No", False),
        ("on", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("0644", 420),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("08", 8),
        ("1_000", 1000),
        ("-5", -5),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("22:22", "22:22"),
        ("2026-11-20", "2026-11-20"),
        ("1.2.3", "1.2.3"),
        ("'y'", "y"),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("!!binary aGk=", "aGk="),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("yes please", "yes please"),
    ],
)
def test_yaml_scalars_are_what_go_makes_of_them(text, value):
    assert schema.parse(f"a: {text}".encode(), YAML, "Pod") == {"a": value}


def test_yaml_aliases_and_merges_are_copies():
    tree = schema.parse(b"a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\nc: *x\n1: one\ntrue: t\n", YAML, "Pod")
    assert tree == {"a": {"k": 1, "l": 2}, "b": {"l": 2, "k": 3}, "c": {"k": 1, "l": 2}, "1": "one", "true": "t"}
    assert tree["a"] is not tree["c"]


def test_checking_a_tree_shares_nothing_with_it():
    tree = {"spec": {"containers": [{"name": "a", "env": None}]}, "bogus": 1}
    document, warnings = schema.check(tree, KINDS["Pod"], "Warn")
    assert warnings == ['unknown field "bogus"']
    assert document["spec"] == {"containers": [{"name": "a"}]}
    assert document["spec"]["containers"] is not tree["spec"]["containers"]
