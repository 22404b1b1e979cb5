"""Sets of fields: their laws against plain sets of paths, their order, and what is no set."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.control.apiserver import fieldset
from minik8s.control.apiserver.fieldset import difference, intersection, ordered, union, without

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"']
PATHS = st.frozensets(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple), max_size=8)


def tree(paths):
    """The set of these members, in its one spelling."""
    root = {}
    for path in paths:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return tidy(root, is_root=True)


def tidy(node, *, is_root=False):
    below = {element: tidy(each) for element, each in node.items() if element != "."}
    if "." in node and below and not is_root:
        below["."] = {}
    return below


def members(fields, prefix=()):
    """The paths in a set."""
    found = set()
    for element, below in fields.items():
        if element == ".":
            found.add(prefix)
        elif below:
            found |= members(below, (*prefix, element))
        else:
            found.add((*prefix, element))
    return found


@given(PATHS, PATHS)
def test_operations_are_those_of_sets_of_paths(left, right):
    ours, theirs = tree(left), tree(right)
    assert members(ours) == left
    assert union(ours, theirs) == tree(left | right)
    assert difference(ours, theirs) == tree(left - right)
    assert intersection(ours, theirs) == tree(left & right)
    below = {path for path in left for cut in range(1, len(path) + 1) if path[:cut] in right}
    assert without(ours, theirs) == tree(left - below)


@given(PATHS, PATHS)
def test_operations_leave_their_arguments_alone(left, right):
    ours, theirs = tree(left), tree(right)
    for operation in (union, difference, intersection, without):
        operation(ours, theirs)
    assert (ours, theirs) == (tree(left), tree(right))


def test_the_order_is_names_then_keys_then_values_and_numbers_count_as_numbers():
    fields = {'v:"b"': {}, 'k:{"port":443}': {}, 'k:{"port":80}': {}, "f:b": {"f:c": {}, ".": {}}, "f:a": {}}
    expected = '{"f:a":{},"f:b":{".":{},"f:c":{}},"k:{\\"port\\":80}":{},"k:{\\"port\\":443}":{},"v:\\"b\\"":{}}'
    assert json.dumps(ordered(fields), separators=(",", ":")) == expected


def test_paths_read_as_upstream_writes_them():
    fields = {"f:spec": {"f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:name": {}}}, "f:x": {}}}
    fields["f:metadata"] = {"f:finalizers": {'v:"a/b"': {}}, "f:labels": {"f:a.b/c": {}}}
    assert list(fieldset.paths(fields)) == [
        '.spec.ports[containerPort=80,protocol="TCP"]',
        '.spec.ports[containerPort=80,protocol="TCP"].name',
        ".spec.x",
        '.metadata.finalizers[="a/b"]',
        ".metadata.labels.a.b/c",
    ]


@pytest.mark.parametrize(
    "given",
    [None, [], "x", {"x": {}}, {"f:a": 1}, {"f:a": {"k:": {}}}, {"k:{}": {}}, {"k:[]": {}}, {"v:{}": {}}, {"i:x": {}}],
)
def test_what_is_no_set_is_told(given):
    assert not fieldset.is_sound(given)


@pytest.mark.parametrize(
    "given", [{}, {".": {}}, {"f:": {}}, {"f:a": {".": {}, 'k:{"a":1}': {}, "i:3": {}, "v:null": {}}}]
)
def test_what_is_a_set_is_told(given):
    assert fieldset.is_sound(given)
