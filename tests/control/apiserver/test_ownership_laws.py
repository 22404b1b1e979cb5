"""Laws of server-side apply, patches and ownership, over random objects."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube.models.core_v1 import Pod

from minik8s.api.errors import StatusError
from minik8s.control.apiserver import apply, managedfields, patch, strategic, typed
from minik8s.control.apiserver.fieldset import difference, intersection, union
from minik8s.control.apiserver.managedfields import APPLY, Terms, Writer, after_update
from minik8s.control.apiserver.topology_builtin import beginning_of, topology_of
from minik8s.control.apiserver.tree import copied

POD = topology_of(Pod)
TERMS = Terms(POD, beginning_of("Pod", Pod))
NOW = "2026-01-01T00:00:00Z"

NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["1", "2", ""])


def unique(items, key):
    """The elements, of each key the first."""
    return list({item[key]: item for item in reversed(items)}.values())[::-1]


def of(**fields):
    """Objects with some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


# Lists of elements that are owned one by one are not empty here: whether an empty one is there or not is nobody's.
ENV = st.lists(st.fixed_dictionaries({"name": NAMES}, optional={"value": TEXTS}), min_size=1, max_size=3).map(
    lambda items: unique(items, "name")
)
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": TEXTS,
        "args": st.lists(TEXTS, max_size=2),
        "env": ENV,
        "resources": of(limits=st.dictionaries(NAMES, TEXTS, max_size=2)),
    },
)
SPEC = of(
    containers=st.lists(CONTAINER, min_size=1, max_size=3).map(lambda items: unique(items, "name")),
    nodeSelector=st.dictionaries(NAMES, TEXTS, max_size=2),
    securityContext=of(runAsUser=st.integers(0, 2), fsGroup=st.integers(0, 2)),
    tolerations=st.lists(of(key=NAMES), max_size=2),
)
METADATA = of(
    labels=st.dictionaries(NAMES, TEXTS, max_size=3), finalizers=st.lists(NAMES, min_size=1, max_size=2, unique=True)
)
PODS = st.builds(
    lambda metadata, spec: {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": "p"}, "spec": spec},
    METADATA,
    SPEC,
)
MANAGERS = st.sampled_from(["x", "y", "z"])


def applied(state, config, manager, *, force=True):
    live, entries = state
    writer = Writer(manager, APPLY, "v1")
    return apply.apply(entries, live, copied(config), writer, TERMS, force=force, now=NOW)


def updated(state, new, manager):
    live, entries = state
    return new, after_update(entries, live, new, Writer(manager, "Update", "v1"), TERMS, NOW)


def sequence(steps):
    """What comes of applies and updates by several managers."""
    state = (None, [])
    for is_apply, document, manager in steps:
        if is_apply:
            state = applied(state, document, manager)
        else:
            state = updated(state, document, manager)
    return state


STEPS = st.lists(st.tuples(st.booleans(), PODS, MANAGERS), min_size=1, max_size=4)


def fields_of(document):
    return typed.field_set(POD, document)


@given(STEPS, PODS, MANAGERS)
@settings(max_examples=60, deadline=None)
def test_applying_twice_is_applying_once(steps, config, manager):
    once = applied(sequence(steps), config, manager)
    assert applied(once, config, manager) == once


@given(STEPS, PODS, MANAGERS)
@settings(max_examples=60, deadline=None)
def test_what_is_applied_is_there_and_owned(steps, config, manager):
    live, entries = applied(sequence(steps), config, manager)
    mine = [entry["fieldsV1"] for entry in entries if Writer(manager, APPLY, "v1").owns(entry)]
    assert mine == ([fields_of(config)] if fields_of(config) else [])
    assert typed.merge(POD, live, config) == live


@given(STEPS, PODS, MANAGERS)
@settings(max_examples=60, deadline=None)
def test_without_force_nobody_loses_a_field_that_is_still_there(steps, config, manager):
    state = sequence(steps)
    try:
        live, entries = applied(state, config, manager, force=False)
    except StatusError as error:
        assert error.reason == "Conflict"
        assert error.causes
        return
    writer = Writer(manager, APPLY, "v1")
    there = POD.everything(live)
    for before in state[1]:
        if writer.owns(before):
            continue
        after = next(
            (
                each
                for each in entries
                if each["manager"] == before["manager"]
                and not writer.owns(each)
                and each["operation"] == before["operation"]
            ),
            {"fieldsV1": {}},
        )
        lost = difference(before["fieldsV1"], after["fieldsV1"])
        assert not intersection(lost, there), (before, after)


@given(STEPS, PODS, MANAGERS)
@settings(max_examples=60, deadline=None)
def test_giving_up_everything_leaves_what_others_own(steps, config, manager):
    state = sequence(steps)
    nothing = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    live, entries = applied(applied(state, config, manager), nothing, manager)
    assert not any(Writer(manager, APPLY, "v1").owns(entry) for entry in entries)
    owned = {}
    for entry in entries:
        owned = union(owned, entry["fieldsV1"])
    assert not difference(owned, union(POD.everything(live), fields_of(live))), "what is owned is there"


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_entries_are_in_order_and_read_back_as_they_are(steps):
    _, entries = sequence(steps)
    assert managedfields.ordered(entries) == entries
    assert managedfields.read(json.loads(json.dumps(entries))) == (entries or None)


@given(STEPS, MANAGERS)
@settings(max_examples=30, deadline=None)
def test_writing_what_is_there_changes_no_entry(steps, manager):
    live, entries = sequence(steps)
    assert updated((live, entries), copied(live), manager) == (live, entries)


@given(SPEC, SPEC)
@settings(max_examples=60, deadline=None)
def test_a_merge_patch_twice_is_once(live, change):
    once = patch.apply_merge_patch(copied(live), change)
    assert patch.apply_merge_patch(copied(once), change) == once


@given(SPEC, SPEC)
@settings(max_examples=60, deadline=None)
def test_a_strategic_patch_twice_is_once_and_the_order_that_is_set_holds(live, change):
    wanted = [item["name"] for item in change.get("containers", [])]
    if wanted:
        change = change | {"$setElementOrder/containers": [{"name": name} for name in wanted]}
    once = strategic.merge({"spec": copied(live)}, {"spec": copied(change)}, Pod)
    assert strategic.merge(copied(once), {"spec": copied(change)}, Pod) == once
    names = [item["name"] for item in once["spec"].get("containers", [])]
    assert [name for name in names if name in wanted] == wanted
    kept = [item["name"] for item in live.get("containers", []) if item["name"] not in wanted]
    assert [name for name in names if name not in wanted] == kept


POINTERS = st.sampled_from(["", "/", "/a", "/a/0", "/a/-", "/a/9", "/b/c", "/b/c/d", "a", "/~1", "/~0", "/~2", "/a/01"])
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "explode", 1, None]),
        "path": POINTERS | st.just(5),
        "from": POINTERS,
        "value": st.sampled_from([1, None, [], {"x": 1}, "s"]),
    },
)


@given(st.lists(OPERATIONS, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_json_patch_succeeds_or_says_why_not(operations):
    document = {"a": [1, 2], "b": {"c": "d"}, "/": 1, "~": 2}
    try:
        patch.apply_json_patch(document, operations)
    except patch.PatchFailed as error:
        assert str(error)
