"""What deleting does to an object: finalizers, grace, propagation, preconditions."""

import copy
import json

import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import deletion, resources
from minik8s.control.apiserver.deletion import Options, Preconditions
from minik8s.control.apiserver.resources import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, PODS

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def document(**metadata):
    return {"metadata": {"name": "a", "uid": "u1", "resourceVersion": "7", **metadata}}


def pod(*, node="n1", grace=30, phase="Running", **metadata):
    made = document(generation=1, **metadata)
    return made | {"spec": {"nodeName": node, "terminationGracePeriodSeconds": grace}, "status": {"phase": phase}}


def test_an_object_that_nothing_holds_is_gone():
    assert deletion.delete(CONFIGMAPS, document(), Options(), NOW_S).is_gone


def test_a_finalizer_keeps_a_marked_object():
    verdict = deletion.delete(DEPLOYMENTS, document(finalizers=["x/y"], generation=1), Options(), NOW_S)
    assert (verdict.is_gone, verdict.is_changed) == (False, True)
    metadata = verdict.document["metadata"]
    assert metadata["deletionTimestamp"] == "2027-01-15T08:00:00Z"
    assert (metadata["deletionGracePeriodSeconds"], metadata["generation"]) == (0, 2)


def test_marking_twice_changes_nothing():
    marked = deletion.delete(CONFIGMAPS, document(finalizers=["x/y"]), Options(), NOW_S).document
    again = deletion.delete(CONFIGMAPS, marked, Options(), NOW_S + 60)
    assert (again.is_gone, again.is_changed) == (False, False)


@pytest.mark.parametrize(
    ("given", "asked", "grace"),
    [
        (pod(), None, 30),
        (pod(grace=5), None, 5),
        (pod(), 7, 7),
        (pod(), -1, 1),
        (pod(), 0, None),
        (pod(node=""), None, None),
        (pod(phase="Succeeded"), None, None),
        (pod(phase="Failed"), 20, None),
    ],
    ids=["its own", "its own, short", "asked for", "negative", "none asked for", "unscheduled", "finished", "failed"],
)
def test_a_pod_has_grace_to_stop_where_something_may_run(given, asked, grace):
    verdict = deletion.delete(PODS, given, Options(gracePeriodSeconds=asked), NOW_S)
    assert verdict.is_gone == (grace is None)
    if grace is not None:
        assert verdict.document["metadata"]["deletionGracePeriodSeconds"] == grace


def test_the_time_of_a_pods_deletion_is_the_end_of_its_grace():
    verdict = deletion.delete(PODS, pod(), Options(), NOW_S)
    assert verdict.document["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:30Z"


def test_grace_only_shrinks():
    marked = deletion.delete(PODS, pod(), Options(), NOW_S).document
    assert not deletion.delete(PODS, marked, Options(gracePeriodSeconds=60), NOW_S + 1).is_changed
    shorter = deletion.delete(PODS, marked, Options(gracePeriodSeconds=5), NOW_S + 1).document
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:05Z"
    assert deletion.delete(PODS, shorter, Options(gracePeriodSeconds=0), NOW_S + 2).is_gone


def test_a_pod_with_a_finalizer_waits_for_it_even_without_grace():
    verdict = deletion.delete(PODS, pod(finalizers=["x/y"]), Options(gracePeriodSeconds=0), NOW_S)
    assert not verdict.is_gone
    assert verdict.document["metadata"]["deletionGracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    ("options", "finalizers", "result"),
    [
        (Options(), ["x/y"], ["x/y"]),
        (Options(propagationPolicy="Background"), ["x/y"], ["x/y"]),
        (Options(propagationPolicy="Foreground"), [], ["foregroundDeletion"]),
        (Options(propagationPolicy="Orphan"), ["x/y"], ["x/y", "orphan"]),
        (Options(propagationPolicy="Orphan"), ["foregroundDeletion"], ["orphan"]),
        (Options(orphanDependents=True), [], ["orphan"]),
        (Options(propagationPolicy="Foreground"), ["foregroundDeletion"], ["foregroundDeletion"]),
    ],
)
def test_the_propagation_policy_is_a_finalizer(options, finalizers, result):
    verdict = deletion.delete(DEPLOYMENTS, document(finalizers=finalizers), options, NOW_S)
    assert verdict.document["metadata"]["finalizers"] == result


def test_background_forgets_an_earlier_policy():
    held = document(finalizers=["foregroundDeletion"], deletionTimestamp="2027-01-15T08:00:00Z")
    assert deletion.delete(DEPLOYMENTS, held, Options(propagationPolicy="Background"), NOW_S).is_gone


def test_a_namespace_becomes_terminating_until_it_is_finalized():
    namespace = document() | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    marked = deletion.delete(NAMESPACES, namespace, Options(), NOW_S).document
    assert marked["status"]["phase"] == "Terminating"
    assert not deletion.is_finished(NAMESPACES, marked)
    marked["spec"]["finalizers"] = []
    assert deletion.is_finished(NAMESPACES, marked)


@pytest.mark.parametrize(
    ("given", "is_finished"),
    [
        (document(), False),
        (document(deletionTimestamp="t", deletionGracePeriodSeconds=0), True),
        (document(deletionTimestamp="t", finalizers=["x/y"]), False),
        (document(deletionTimestamp="t", deletionGracePeriodSeconds=30), False),
    ],
    ids=["not deleted", "nothing holds it", "a finalizer", "grace"],
)
def test_a_marked_object_ends_when_nothing_holds_it(given, is_finished):
    assert deletion.is_finished(PODS, given) is is_finished


def test_deciding_leaves_the_object_alone():
    given = pod(finalizers=["x/y"])
    before = copy.deepcopy(given)
    deletion.delete(PODS, given, Options(propagationPolicy="Foreground"), NOW_S)
    assert given == before


def test_preconditions_hold_or_are_a_conflict():
    deletion.check_preconditions(PODS, document(), Options(preconditions=Preconditions("u1", "7")))
    with pytest.raises(StatusError, match=r"the UID in the precondition \(x\) does not match the UID in record \(u1\)"):
        deletion.check_preconditions(PODS, document(), Options(preconditions=Preconditions("x")))
    with pytest.raises(StatusError, match=r"the ResourceVersion in the precondition \(1\)") as caught:
        deletion.check_preconditions(PODS, document(), Options(preconditions=Preconditions(resourceVersion="1")))
    assert caught.value.reason == "Conflict"


def parse(body=None, **query):
    encoded = json.dumps(body).encode() if body is not None else b""
    return deletion.parse_options(Request("delete", "", "v1", "pods", "default", "a", query=query, body=encoded))


def test_options_come_from_the_body_or_the_query():
    assert parse({"kind": "DeleteOptions", "gracePeriodSeconds": 3}).gracePeriodSeconds == 3
    assert parse(gracePeriodSeconds="4", propagationPolicy="Orphan").propagationPolicy == "Orphan"
    assert parse(orphanDependents="true").orphanDependents is True


@pytest.mark.parametrize(
    ("body", "query", "code"),
    [
        ({"gracePeriodSeconds": "x"}, {}, 400),
        ({"propagationPolicy": "Sideways"}, {}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, {}, 422),
        (None, {"gracePeriodSeconds": "soon"}, 400),
    ],
)
def test_options_that_make_no_sense_are_refused(body, query, code):
    with pytest.raises(StatusError) as caught:
        parse(body, **query)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", ["Job", "ReplicationController"])
@pytest.mark.parametrize(
    ("given", "finalizers"),
    [
        ({}, [deletion.ORPHAN]),
        ({"propagationPolicy": "Background"}, None),
        ({"orphanDependents": False}, None),
        ({"propagationPolicy": "Foreground"}, [deletion.FOREGROUND]),
    ],
    ids=str,
)
def test_dependents_of_old_kinds_stay_unless_the_client_says_otherwise(kind, given, finalizers):
    resource = next(each for each in resources.ALL if each.kind == kind)
    document = {"kind": kind, "metadata": {"name": "a", "uid": "u"}, "spec": {}}
    verdict = deletion.delete(resource, document, parse({"kind": "DeleteOptions", **given}), 0.0)
    assert (verdict.document["metadata"].get("finalizers"), verdict.is_gone) == (finalizers, finalizers is None)


def test_a_job_whose_pods_stay_is_deleted_with_a_warning():
    jobs = next(each for each in resources.ALL if each.kind == "Job")
    assert "child pods are preserved by default" in deletion.warnings_of(jobs, parse({"kind": "DeleteOptions"}))[0]
    assert deletion.warnings_of(jobs, parse({"kind": "DeleteOptions", "propagationPolicy": "Orphan"})) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"propagationPolicy": "Sideways"},
            'propagationPolicy: Unsupported value: "Sideways": '
            'supported values: "Foreground", "Background", "Orphan", "nil"',
        ),
        ({"dryRun": ["Some"]}, 'dryRun: Unsupported value: "Some": supported values: "All"'),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused_in_upstreams_words(given, message):
    with pytest.raises(StatusError) as caught:
        parse({"kind": "DeleteOptions", **given})
    assert caught.value.message == f'DeleteOptions.meta.k8s.io "" is invalid: {message}'
