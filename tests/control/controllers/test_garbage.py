"""What the garbage collector decides, by table."""

import pytest

from control.controllers.factories import pod
from minik8s.control.controllers.garbage import ABSENT, SOLID, WAITING, is_blocked, judge


@pytest.mark.parametrize(
    ("owners", "finalizers", "has_dependents", "delete", "drop"),
    [
        ({"a": SOLID}, [], True, "", []),
        ({"a": SOLID, "b": ABSENT}, [], False, "", ["b"]),
        ({"a": SOLID, "b": WAITING}, [], True, "", ["b"]),
        ({"a": ABSENT}, [], True, "Background", []),
        ({"a": ABSENT}, ["foregroundDeletion"], True, "Foreground", []),
        ({"a": ABSENT}, ["orphan"], True, "Orphan", []),
        ({"a": WAITING}, [], True, "Foreground", []),
        ({"a": WAITING}, [], False, "Background", []),
        ({"a": WAITING, "b": ABSENT}, [], True, "Foreground", []),
    ],
)
def test_a_dependent_goes_with_its_last_owner(owners, finalizers, has_dependents, delete, drop):
    verdict = judge(finalizers, owners, has_dependents=has_dependents)
    assert (verdict.delete, verdict.drop) == (delete, drop)


def test_only_dependents_that_say_so_block_their_owner():
    child = pod("a", owner="web")
    assert not is_blocked("web", [child])
    child.metadata.ownerReferences[0].blockOwnerDeletion = True
    assert is_blocked("web", [child])
    assert not is_blocked("other", [child])
