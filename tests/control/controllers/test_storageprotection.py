"""Claims and volumes go when nobody uses them, and not before."""

import msgspec
import pytest

from control.apiserver.admission.world import cluster, pod
from control.apiserver.harness import scenario
from control.controllers.factories import at
from control.controllers.running import controllers, until
from minik8s.api.core_v1 import PersistentVolumeClaim, Pod
from minik8s.api.errors import StatusError
from minik8s.control.controllers.storageprotection import (
    CLAIM_FINALIZER,
    ClaimProtectionController,
    VolumeProtectionController,
    change,
    uses,
)


@pytest.mark.parametrize(
    ("finalizers", "is_going", "is_used", "wanted"),
    [
        ([CLAIM_FINALIZER], False, False, None),
        (["a.b/c"], False, False, ["a.b/c", CLAIM_FINALIZER]),
        ([CLAIM_FINALIZER, "a.b/c"], True, False, ["a.b/c"]),
        ([CLAIM_FINALIZER], True, True, None),
        ([], True, False, None),
    ],
)
def test_the_finalizer_stays_while_a_claim_is_used(finalizers, is_going, is_used, wanted):
    meta = {"name": "c", "finalizers": finalizers} | ({"deletionTimestamp": at(0)} if is_going else {})
    claim = msgspec.convert({"metadata": meta}, PersistentVolumeClaim)
    assert change(claim, CLAIM_FINALIZER, is_used=is_used) == wanted


@pytest.mark.parametrize(
    ("spec", "phase", "is_used"),
    [
        ({"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "Running", True),
        ({"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "Failed", False),
        ({"nodeName": "n", "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "d"}}]}, "Running", False),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, "Pending", False),
        ({"nodeName": "n", "volumes": [{"name": "c", "emptyDir": {}}]}, "Running", False),
    ],
)
def test_who_uses_a_claim(spec, phase, is_used):
    document = {"metadata": {"name": "p"}, "spec": {"containers": []} | spec, "status": {"phase": phase}}
    assert uses(msgspec.convert(document, Pod), "c") is is_used


@scenario
async def test_a_claim_goes_after_its_pod():
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    async with (
        cluster() as made,
        controllers(made.core.api, ClaimProtectionController, VolumeProtectionController),
    ):
        await made.create("persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": spec})
        await made.create("pods", pod("p", nodeName="n", volumes=volumes))
        await made.call("delete", "persistentvolumeclaims", "c")
        volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}}
        await made.create("persistentvolumes", {"metadata": {"name": "v"}, "spec": volume})
        await made.call("delete", "persistentvolumes", "v")

        async def is_gone(plural, name):
            try:
                await made.get(plural, name)
            except StatusError as error:
                return error.reason == "NotFound"

        await until(lambda: is_gone("persistentvolumes", "v"))
        claim = await made.get("persistentvolumeclaims", "c")
        assert claim["metadata"]["deletionTimestamp"]
        await made.call("delete", "pods", "p", {"gracePeriodSeconds": 0})
        await until(lambda: is_gone("persistentvolumeclaims", "c"))
