"""Pruning, defaults, validation and columns of custom objects: tables, and laws on random schemas."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.control.apiserver.extensions import defaulting, jsonpath, pruning, rules, structural, validation
from minik8s.control.apiserver.extensions.customcheck import Checks
from minik8s.control.apiserver.extensions.customcolumns import columns_of, row_of
from minik8s.control.apiserver.extensions.formats import has_format
from minik8s.control.apiserver.extensions.schemacheck import check_schema

OPEN = "x-kubernetes-preserve-unknown-fields"
TEXT = {"type": "string"}


def of(schema):
    return structural.build({"type": "object", "properties": {"spec": schema}})


def pruned(spec, schema):
    faults = []
    made = pruning.prune({"spec": spec}, of(schema), faults)
    return made.get("spec"), faults


@pytest.mark.parametrize(
    ("schema", "given_spec", "kept", "told"),
    [
        ({"type": "object", "properties": {"a": TEXT}}, {"a": "1", "b": 2}, {"a": "1"}, ['unknown field "spec.b"']),
        ({"type": "object", OPEN: True}, {"a": {"b": [1]}}, {"a": {"b": [1]}}, []),
        (
            {"type": "object", OPEN: True, "properties": {"a": {"type": "object", "properties": {"b": TEXT}}}},
            {"a": {"b": "x", "c": 1}, "z": 1},
            {"a": {"b": "x"}, "z": 1},
            ['unknown field "spec.a.c"'],
        ),
        ({"type": "object", "additionalProperties": TEXT}, {"a": "1"}, {"a": "1"}, []),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}},
            [{"a": "1", "b": 1}],
            [{"a": "1"}],
            ['unknown field "spec[0].b"'],
        ),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True, OPEN: True},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "what": 1}, "spec": {}},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}},
            ['unknown field "spec.metadata.what"'],
        ),
    ],
)
def test_unknown_fields_are_left_out(schema, given_spec, kept, told):
    assert pruned(given_spec, schema) == (kept, told)


@pytest.mark.parametrize(
    ("schema", "given_spec", "filled"),
    [
        ({"type": "object", "properties": {"a": TEXT | {"default": "x"}}}, {}, {"a": "x"}),
        ({"type": "object", "properties": {"a": TEXT | {"default": "x"}}}, {"a": None}, {"a": "x"}),
        ({"type": "object", "properties": {"a": TEXT | {"default": "x", "nullable": True}}}, {"a": None}, {"a": None}),
        ({"type": "object", "default": {}, "properties": {"a": TEXT | {"default": "x"}}}, ..., {"a": "x"}),
        ({"type": "object", "properties": {"a": TEXT | {"default": "x"}}}, ..., ...),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": TEXT | {"default": "x"}}}},
            [{}, {"a": "y"}],
            [{"a": "x"}, {"a": "y"}],
        ),
    ],
)
def test_defaults_are_filled_in(schema, given_spec, filled):
    document = {} if given_spec is ... else {"spec": given_spec}
    defaulting.default(document, of(schema))
    assert document == ({} if filled is ... else {"spec": filled})


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (TEXT | {"maxLength": 2}, "abc", "spec: Too long: may not be more than 2 bytes"),
        (TEXT | {"minLength": 2}, "a", 'spec: Invalid value: "a": spec in body should be at least 2 chars long'),
        (TEXT | {"pattern": "^a$"}, "b", "spec: Invalid value: \"b\": spec in body should match '^a$'"),
        (TEXT | {"format": "date-time"}, "x", 'spec: Invalid value: "x": spec in body must be of type date-time: "x"'),
        (
            {"type": "number", "maximum": 1.5},
            2,
            "spec: Invalid value: 2: spec in body should be less than or equal to 1.5",
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "spec: Invalid value: 1: spec in body should be greater than 1",
        ),
        ({"type": "integer", "multipleOf": 2}, 3, "spec: Invalid value: 3: spec in body should be a multiple of 2"),
        ({"type": "array", "items": TEXT, "maxItems": 1}, ["a", "b"], "spec: Too many: 2: must have at most 1 items"),
        (
            {"type": "array", "items": TEXT, "minItems": 1},
            [],
            "spec: Invalid value: 0: spec in body should have at least 1 items",
        ),
        ({"type": "object", "required": ["a"], "properties": {"a": TEXT}}, {}, "spec.a: Required value"),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}},
            {"a": [1, True]},
            'spec.a[1]: Invalid value: "boolean": spec.a[1] in body must be of type integer: "boolean"',
        ),
        (TEXT, None, 'spec: Invalid value: "null": spec in body must be of type string: "null"'),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 2},
            '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives",
        ),
        (
            {"type": "object", "not": {"required": ["a"]}},
            {"a": 1},
            '<nil>: Invalid value: "": "spec" must not validate the schema (not)',
        ),
        ({"type": "integer", "enum": [1, 2]}, 3, 'spec: Unsupported value: 3: supported values: "1", "2"'),
        ({"type": "integer"}, 1.0, None),
        (TEXT | {"nullable": True}, None, None),
    ],
)
def test_faults_have_upstreams_words(schema, value, told):
    found = [f"{cause.field}: {cause.message}" for cause in validation.validate({"spec": value}, of(schema))]
    assert found[:1] == ([told] if told else [])


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
            ["a", "b", "a"],
            'spec[2]: Duplicate value: "a"',
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": TEXT, "v": TEXT}},
            },
            [{"name": "a", "v": "1"}, {"name": "a", "v": "2"}],
            'spec[1]: Duplicate value: {"name":"a"}',
        ),
    ],
)
def test_lists_that_are_sets_or_maps_hold_nothing_twice(schema, value, told):
    (cause,) = validation.validate_lists({"spec": value}, of(schema))
    assert f"{cause.field}: {cause.message}" == told


def test_faults_that_were_there_before_do_not_stop_an_update():
    checks = Checks(of({"type": "object", "properties": {"a": TEXT | {"maxLength": 1}, "b": TEXT | {"maxLength": 1}}}))
    old = {"spec": {"a": "long", "b": "x"}}
    assert [cause.field for cause in checks.causes(old, None)] == ["spec.a"]
    assert checks.causes({"spec": {"a": "long", "b": "y"}}, old) == []
    assert [cause.field for cause in checks.causes({"spec": {"a": "longer", "b": "yy"}}, old)] == ["spec.a", "spec.b"]


def broken(schema, value, old=None):
    place = rules.compile_rules(of(schema))
    found = rules.check(place, {"spec": value}, None if old is None else {"spec": old}, has_old=old is not None)
    return [f"{cause.field}: {cause.message}" for cause in found]


def test_a_rule_fails_in_the_way_it_asks_for():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "my-name": TEXT}}

    def told(**rule):
        return broken(schema | {"x-kubernetes-validations": [{"rule": "self.a < 3"} | rule]}, {"a": 5, "my-name": "n"})

    assert told() == ["spec: Invalid value: failed rule: self.a < 3"]
    assert told(message="too big") == ["spec: Invalid value: too big"]
    assert told(messageExpression="'a is ' + string(self.a)") == ["spec: Invalid value: a is 5"]
    assert told(messageExpression="string(1/(self.a-5))", message="x") == ["spec: Invalid value: x"]
    assert told(reason="FieldValueForbidden", message="no") == ["spec: Forbidden: no"]
    assert told(reason="FieldValueRequired", message="no", fieldPath=".a") == ["spec.a: Required value: no"]
    assert told(rule="self.my__dash__name == 'n'") == []
    assert told(rule="1/(self.a-5) > 0") == [
        'spec: Invalid value: "object": division by zero evaluating rule: 1/(self.a-5) > 0'
    ]


def test_a_rule_may_compare_with_what_was():
    keyed = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": TEXT, "v": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}],
        },
    }
    new = [{"name": "b", "v": 1}, {"name": "a", "v": 1}]
    assert broken(keyed, new) == []
    assert broken(keyed, new, [{"name": "a", "v": 2}]) == ["spec[1]: Invalid value: failed rule: self.v >= oldSelf.v"]
    first = {
        "type": "integer",
        "x-kubernetes-validations": [{"rule": "oldSelf.hasValue() || self == 1", "optionalOldSelf": True}],
    }
    assert broken(first, 2) == ["spec: Invalid value: 2: failed rule: oldSelf.hasValue() || self == 1"]
    assert broken(first, 2, 1) == []


def test_rules_of_one_object_end():
    items = {"type": "array", "items": {"type": "integer"}}
    rule = {"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"}
    (told,) = broken(items | {"x-kubernetes-validations": [rule]}, list(range(400)))
    assert "validation failed due to running out of cost budget" in told


DOCUMENT = {
    "spec": {"a": [{"n": "x", "v": 1}, {"n": "y", "v": 2}], "b.c": True, "d": {"e": {"v": 3}}},
    "metadata": {"name": "g", "creationTimestamp": "2026-11-20T00:00:00Z"},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.a[0].v", [1]),
        (".spec.a[-1].v", [2]),
        (".spec.a[*].v", [1, 2]),
        (".spec.a[0:1].n", ["x"]),
        ('.spec.a[?(@.n=="y")].v', [2]),
        (".spec.a[?(@.v>1)].n", ["y"]),
        (".spec['b.c']", [True]),
        (r".spec.b\.c", [True]),
        ("..v", [1, 2, 3]),
        (".spec.none.x", []),
        (".spec[", []),
        (".", [DOCUMENT]),
    ],
)
def test_a_path_leads_to_values(path, found):
    assert jsonpath.find(DOCUMENT, path) == found


def test_cells_have_the_type_of_their_column():
    asked = [
        {"name": "N", "type": "string", "jsonPath": ".spec.a"},
        {"name": "V", "type": "integer", "jsonPath": ".spec.a[0].v"},
        {"name": "B", "type": "boolean", "jsonPath": ".spec.b\\.c"},
        {"name": "X", "type": "integer", "jsonPath": ".spec.b\\.c"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    assert [column.name for column in columns_of(asked)] == ["Name", "N", "V", "B", "X", "Age"]
    cells = row_of(asked)(DOCUMENT, 1795132900.0)
    assert cells == ["g", '[{"n":"x","v":1},{"n":"y","v":2}]', 1, True, None, "100s"]
    assert [column.name for column in columns_of([])] == ["Name", "Age"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2026-11-20", "2026-13-20"),
        ("date-time", "2026-11-20T10:00:00Z", "yesterday"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("byte", "aGk=", "a!"),
        ("duration", "1h30m", "an hour"),
        ("email", "a@b.c", "a"),
        ("hostname", "a.b", "a b"),
        ("hexcolor", "#fff", "#ff"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("isbn", "0321751043", "0321751044"),
    ],
)
def test_formats(name, good, bad):
    assert has_format(good, name)
    assert not has_format(bad, name)
    assert has_format(bad, "no-such-format")


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text("ab", max_size=3))
NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
LEAVES = st.sampled_from(
    [
        TEXT,
        TEXT | {"default": "d"},
        {"type": "integer", "default": 1},
        {"type": "integer", "nullable": True, "minimum": 0},
    ]
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, opened: {"type": "object", "properties": properties} | ({OPEN: True} if opened else {}),
            st.dictionaries(NAMES, inner, max_size=3),
            st.booleans(),
        ),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda each: {"type": "object", "additionalProperties": each}, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(SCHEMAS, VALUES)
def test_pruning_and_defaults_are_done_once(schema, value):
    node = of(schema)
    assert check_schema(node.schema, "schema", has_status=False) == []
    once = pruning.prune({"spec": value}, node, [])
    faults = []
    assert pruning.prune(once, node, faults) == once
    assert faults == []
    defaulting.default(once, node)
    again = copy.deepcopy(once)
    defaulting.default(again, node)
    assert again == once
    assert pruning.prune(once, node, []) == once, "defaults bring nothing unknown"
    validation.validate(once, node)
    validation.validate_lists(once, node)
