"""JSON patch and merge patch, by the examples of their RFCs; what is refused, and how."""

import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON_PATCH, MERGE_PATCH, Request
from minik8s.control.apiserver import patch
from minik8s.control.apiserver.resources.pod import PODS

MERGES = [  # RFC 7386, appendix A: (target, patch, result)
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "change", "result"), MERGES)
def test_merge_patches_merge_as_the_rfc_says(target, change, result):
    assert patch.apply_merge_patch(target, change) == result


OPERATIONS = [  # RFC 6902, appendix A, and its edges: (document, operations, result)
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    ({"a": [1, 2]}, [{"op": "replace", "path": "/a/0", "value": 3}], {"a": [3, 2]}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
    ({"a": [1, 2, 3]}, [{"op": "move", "from": "/a/0", "path": "/a/2"}], {"a": [2, 3, 1]}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}, {"op": "remove", "path": "/a"}], {}),
    ({"a/b": 1, "m~n": 2}, [{"op": "remove", "path": "/a~1b"}, {"op": "remove", "path": "/m~0n"}], {}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
]


@pytest.mark.parametrize(("document", "operations", "result"), OPERATIONS)
def test_json_patches_apply_as_the_rfc_says(document, operations, result):
    assert patch.apply_json_patch(document, operations) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/nope"},
        {"op": "remove", "path": "/list/2"},
        {"op": "replace", "path": "/nope", "value": 1},
        {"op": "add", "path": "/list/4", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/no/such", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "value": 1},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": "1"},
        {"op": "move", "from": "/map", "path": "/map/x"},
        {"op": "jump", "path": "/a"},
        {},
    ],
    ids=str,
)
def test_a_json_patch_that_does_not_fit_is_refused(operation):
    with pytest.raises(patch.PatchFailed):
        patch.apply_json_patch({"a": 1, "list": [1, 2], "map": {}}, [operation])


def parse(body: bytes, content_type: str):
    return patch.parse(Request("patch", "", "v1", "pods", "default", "a", body=body, content_type=content_type), PODS)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"{", MERGE_PATCH, 400),
        (b"[]", MERGE_PATCH, 400),
        (b"{}", JSON_PATCH, 400),
        (b"[1]", JSON_PATCH, 400),
        (json.dumps([{"op": "test", "path": "/a"}] * 10_001).encode(), JSON_PATCH, 413),
        (b"{}", "application/json", 415),
        (b"{}", "", 415),
    ],
)
def test_what_is_no_patch_is_refused(body, content_type, code):
    with pytest.raises(StatusError) as caught:
        parse(body, content_type)
    assert caught.value.code == code


def test_a_refused_type_is_told_the_accepted_ones():
    with pytest.raises(StatusError) as caught:
        parse(b"{}", "application/json")
    assert "application/strategic-merge-patch+json" in caught.value.message


def test_parameters_of_the_content_type_do_not_matter():
    assert parse(b'{"a":1}', "application/merge-patch+json; charset=utf-8") == {"a": 1}


def test_copies_of_copies_are_limited():
    operations = [{"op": "copy", "from": "/a", "path": f"/a/{index}"} for index in range(100)]
    with pytest.raises(patch.PatchFailed, match=r"accumulated size increase of copy is .* exceeding the limit 3145728"):
        patch.apply_json_patch({"a": {}}, operations)
