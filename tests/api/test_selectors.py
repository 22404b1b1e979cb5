"""Selectors: what they match, and upstream's words for what cannot be parsed."""

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.meta_v1 import LabelSelector, LabelSelectorRequirement
from minik8s.api.selectors import (
    format_label_selector,
    format_labels,
    label_selector_matches,
    parse_fields,
    parse_labels,
)

WEB = {"app": "web", "tier": "front", "weight": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("!canary", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier = front", True),
        ("app=api", False),
        ("app!=web", False),
        ("canary!=yes", True),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("canary notin (a)", True),
        ("canary in (a)", False),
        ("weight>4", True),
        ("weight<5", False),
        ("app>1", False),
        ("canary=", False),
        ("app in (,web)", True),
        ("in in (in),notin", False),
        ("app=web,tier=back", False),
    ],
)
def test_a_label_selector_matches(text, matches):
    assert parse_labels(text).matches(WEB) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("app=web,", "found '', expected: identifier after ','"),
        ("=web", "found '=', expected: !, identifier, or 'end of string'"),
        ("app web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"),
        ("app=(", "unable to parse requirement: found '(', expected: identifier"),
        ("app=a=b", "found '=', expected: ',' or 'end of string'"),
        ("app in web", "unable to parse requirement: found 'web' expected: '('"),
        ("app in (web", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "app in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, "
            "values set can't be empty",
        ),
        (
            "app>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
            "the value must be an integer",
        ),
        ("!", "unable to parse requirement: found '', expected: identifier"),
    ],
)
def test_a_label_selector_that_cannot_be_parsed_is_a_bad_request(text, message):
    with pytest.raises(StatusError) as caught:
        parse_labels(text)
    assert (caught.value.code, caught.value.message) == (400, message)


def test_keys_and_values_of_selectors_have_the_syntax_of_labels():
    with pytest.raises(StatusError, match='<nil>: Invalid value: "-app": name part must consist of'):
        parse_labels("-app")
    with pytest.raises(StatusError, match=r'values\[0\]\[app\]: Invalid value: "-web": a valid label must be'):
        parse_labels("app=-web")


@pytest.mark.parametrize(
    ("text", "formatted"),
    [("b=1,a in (y,x)", "a in (x,y),b=1"), ("!z,e>3", "e>3,!z"), ("a,b!=c", "a,b!=c"), ("a==1", "a==1")],
)
def test_a_label_selector_is_formatted_back(text, formatted):
    assert str(parse_labels(text)) == formatted
    assert str(parse_labels(formatted)) == formatted


NAMES = ("spec.nodeName", "status.phase")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n1", True),
        ("spec.nodeName!=n1", False),
        ("spec.nodeName=n1,status.phase!=Failed", True),
        ("metadata.name=web", True),
        ("status.phase=", False),
        (r"metadata.name=a\,b", False),
    ],
)
def test_a_field_selector_matches(text, matches):
    fields = {"spec.nodeName": "n1", "status.phase": "Running", "metadata.name": "web"}
    assert parse_fields(text, NAMES).matches(fields) is matches


def test_a_field_selector_tells_an_index_what_it_requires():
    selector = parse_fields("spec.nodeName=n1,status.phase!=Failed", NAMES)
    assert selector.required("spec.nodeName") == "n1"
    assert selector.required("status.phase") is None
    assert str(selector) == "spec.nodeName=n1,status.phase!=Failed"


def test_escaped_characters_belong_to_the_value():
    selector = parse_fields(r"metadata.name=a\,b\=c\\d")
    assert selector.required("metadata.name") == r"a,b=c\d"
    assert parse_fields(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "allowed", "message"),
    [
        ("spec.x=1", NAMES, "field label not supported: spec.x"),
        ("spec.x=1", (), '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("metadata.name", (), "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ],
)
def test_a_field_selector_that_cannot_be_used_is_a_bad_request(text, allowed, message):
    with pytest.raises(StatusError) as caught:
        parse_fields(text, allowed)
    assert (caught.value.code, caught.value.message) == (400, message)


AS_DOCUMENT = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
AS_STRUCT = LabelSelector(
    matchLabels={"app": "web"}, matchExpressions=[LabelSelectorRequirement(key="tier", operator="Exists")]
)


@pytest.mark.parametrize("selector", [AS_DOCUMENT, AS_STRUCT], ids=["document", "struct"])
def test_a_label_selector_of_an_object_matches_as_struct_and_as_document(selector):
    assert label_selector_matches(selector, WEB)
    assert not label_selector_matches(selector, {"app": "web"})
    assert not label_selector_matches(selector, None)
    assert format_label_selector(selector) == "app=web,tier"


def test_an_absent_selector_matches_nothing_and_an_empty_one_everything():
    assert not label_selector_matches(None, WEB)
    assert label_selector_matches({}, WEB)
    assert label_selector_matches(LabelSelector(), None)
    assert format_label_selector(None) == format_label_selector({}) == format_labels({}) == "<none>"
    assert format_labels({"b": "2", "a": "1"}) == "a=1,b=2"
