"""OwnerReferencesPermissionEnforcement: whose an object is, says who may delete it."""

import pytest

from control.apiserver.admission.world import cluster, pod
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.core import CoreConfig

BOB = User("bob", ("system:authenticated",))
RBAC = "rbac.authorization.k8s.io"


async def allow(made, *rules):
    """Let Bob do this."""
    given = [{"apiGroups": ["*"], "verbs": verbs, "resources": [what], **more} for verbs, what, more in rules]
    await made.create("clusterroles", {"metadata": {"name": "bobs"}, "rules": given})
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "bobs"}
    subject = {"apiGroup": RBAC, "kind": "User", "name": "bob"}
    await made.create(
        "clusterrolebindings", {"metadata": {"name": "bobs"}, "roleRef": reference, "subjects": [subject]}
    )


async def refusal(awaitable):
    with pytest.raises(StatusError) as caught:
        await awaitable
    assert caught.value.code == 403
    return caught.value.message


@scenario
async def test_nobody_gives_away_what_they_may_not_delete_where_that_is_asked_for():
    config = CoreConfig(admission=AdmissionConfig(["OwnerReferencesPermissionEnforcement"]))
    async with cluster(config) as made:
        owner = await made.create("pods", pod("owner"))
        await made.create("configmaps", {"metadata": {"name": "c"}})
        await allow(made, (["get", "patch", "create"], "configmaps", {}))
        bob = made.as_user(BOB)
        reference = {"apiVersion": "v1", "kind": "Pod", "name": "owner", "uid": owner["metadata"]["uid"]}
        owned = {"metadata": {"ownerReferences": [reference]}}
        assert await refusal(bob.patch("configmaps", "c", owned)) == (
            'configmaps "c" is forbidden: cannot set an ownerRef on a resource you can\'t delete: , <nil>'
        )
        await bob.patch("configmaps", "c", {"data": {"a": "b"}})
        await bob.create("configmaps", {"metadata": {"name": "d", "ownerReferences": [reference]}})
        blocking = {"metadata": {"name": "e", "ownerReferences": [reference | {"blockOwnerDeletion": True}]}}
        assert "to a resource you can't set finalizers on: , <nil>" in await refusal(bob.create("configmaps", blocking))
        await made.create("configmaps", blocking)
