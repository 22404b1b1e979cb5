"""What a Deployment decides beyond the arithmetic: revisions, conditions, history, pauses."""

from datetime import timedelta

import msgspec
import pytest

from control.controllers.factories import NOW_S, at, deployment, replicaset
from minik8s.api.apps_v1 import ReplicaSetCondition
from minik8s.control.controllers import revisions
from minik8s.control.controllers.deployment import plan


def decide(asked, replicasets, *, old_pods_exist=False):
    return plan(asked, replicasets, old_pods_exist=old_pods_exist, now_s=NOW_S)


def numbered(name, replicas, revision, **fields):
    annotations = {
        revisions.REVISION: str(revision),
        revisions.DESIRED_REPLICAS: "3",
        revisions.MAX_REPLICAS: "4",
    }
    return replicaset(name, replicas, annotations=annotations, **fields)


def condition(actions, type_):
    return next((one for one in actions.status.status["conditions"] if one["type"] == type_), None)


def test_the_first_look_creates_the_replicaset_of_the_template():
    actions = decide(deployment(), [])
    meta = actions.create["metadata"]
    letters = meta["labels"]["pod-template-hash"]
    assert meta["name"] == f"web-{letters}" and len(letters) == 10
    assert actions.create["spec"]["replicas"] == 3
    assert actions.create["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": letters}
    assert meta["annotations"][revisions.REVISION] == "1" and actions.revision == 1
    assert condition(actions, "Progressing")["reason"] == "NewReplicaSetCreated"
    assert condition(actions, "Available")["reason"] == "MinimumReplicasUnavailable"


def test_a_name_is_the_same_every_time_and_another_for_another_template_or_after_a_collision():
    names = [revisions.template_hash(deployment(image=image), n) for image, n in (("v1", 0), ("v2", 0), ("v1", 1))]
    assert names[0] == revisions.template_hash(deployment(image="v1"))
    assert len(set(names)) == 3


def test_a_new_template_gets_the_next_revision_and_only_the_room_there_is():
    actions = decide(deployment(image="v2"), [numbered("a", 3, 4)])
    assert actions.create["metadata"]["annotations"][revisions.REVISION] == "5"
    assert actions.create["spec"]["replicas"] == 1


def test_going_back_to_an_old_template_raises_its_revision_and_remembers_the_one_it_had():
    actions = decide(deployment(image="v1"), [numbered("a", 0, 1), numbered("b", 3, 2, image="v2")])
    assert actions.create is None and actions.scale == {"a": 1}
    assert actions.annotate["a"][revisions.REVISION] == "3"
    assert actions.annotate["a"][revisions.REVISION_HISTORY] == "1"
    assert actions.revision == 3
    assert condition(actions, "Progressing")["reason"] == "FoundNewReplicaSet"


def test_recreate_waits_for_the_last_old_pod():
    asked = deployment(image="v2", strategy={"type": "Recreate"})
    old = [numbered("a", 3, 1)]
    assert decide(asked, old, old_pods_exist=True).scale == {"a": 0}
    emptied = [numbered("a", 0, 1)]
    assert decide(asked, emptied, old_pods_exist=True).create is None
    assert decide(asked, emptied).create["spec"]["replicas"] == 3


def test_a_paused_deployment_is_resized_but_not_rolled_out():
    actions = decide(deployment(5, image="v2", paused=True), [numbered("a", 3, 1)])
    assert actions.create is None and actions.scale == {"a": 5}
    assert condition(actions, "Progressing")["reason"] == "DeploymentPaused"


@pytest.mark.parametrize(
    ("limit", "deleted"), [(10, []), (2, ["r1"]), (1, ["r1", "r2"]), (0, ["r1", "r2", "r3"]), (None, [])]
)
def test_history_beyond_the_limit_is_deleted_oldest_first_once_all_is_done(limit, deleted):
    history = [numbered(f"r{n}", 0, n, image=f"old{n}") for n in (3, 1, 2)]
    asked = deployment(revisionHistoryLimit=limit)
    done = decide(asked, [numbered("new", 3, 4), *history])
    assert [one.metadata.name for one in done.delete] == deleted
    assert decide(asked, [numbered("new", 3, 4, available=2), *history]).delete == []


def test_a_rollout_without_progress_times_out():
    stuck = {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "lastUpdateTime": at(-601),
        "lastTransitionTime": at(-601),
    }
    status = {"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3, "conditions": [stuck]}
    sets = [numbered("new", 1, 2, available=0), numbered("old", 3, 1, image="v0")]
    asked = deployment(status=status)
    asked.metadata.annotations = {revisions.REVISION: "2"}
    actions = decide(asked, sets)
    found = condition(actions, "Progressing")
    assert (found["status"], found["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert found["message"] == 'ReplicaSet "new" has timed out progressing.'
    asked.status.conditions[0].lastUpdateTime += timedelta(seconds=11)
    actions = decide(asked, sets)
    assert condition(actions, "Progressing")["reason"] == "ReplicaSetUpdated"
    assert 10 <= actions.status.again_s <= 12


def test_a_finished_rollout_says_so_and_its_status_has_explicit_numbers():
    actions = decide(deployment(), [numbered("new", 3, 1)])
    assert condition(actions, "Progressing")["message"] == 'ReplicaSet "new" has successfully progressed.'
    assert condition(actions, "Available")["status"] == "True"
    counts = {key: value for key, value in actions.status.status.items() if key != "conditions"}
    assert counts == {
        "observedGeneration": 5,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "unavailableReplicas": 0,
        "collisionCount": None,
    }
    assert (actions.create, actions.scale, actions.delete) == (None, {}, [])


def test_a_second_look_at_what_the_first_wrote_changes_nothing():
    first = decide(deployment(), [numbered("new", 3, 1)])
    status = msgspec.to_builtins(first.status.status)
    second = decide(deployment(status=status), [numbered("new", 3, 1)])
    assert second.status.status == first.status.status


def test_a_replicasets_failure_is_passed_on():
    new = numbered("new", 3, 1, available=0, existing=0)
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    new.status.conditions = [msgspec.convert(failure, ReplicaSetCondition)]
    assert condition(decide(deployment(), [new]), "ReplicaFailure")["message"] == "quota"
