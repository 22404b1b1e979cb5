"""The ServiceAccount a pod runs as, and what it brings."""

import asyncio
import copy

import pytest

from control.apiserver.harness import scenario
from control.apiserver.resources.kinds import KINDS
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.admission.service_account import MOUNT_PATH, ServiceAccount

ACCOUNTS = {
    "default": {"metadata": {"name": "default"}},
    "pulling": {"metadata": {"name": "pulling"}, "imagePullSecrets": [{"name": "key"}]},
    "silent": {"metadata": {"name": "silent"}, "automountServiceAccountToken": False},
}
MOUNT = {"name": "kube-api-access-", "readOnly": True, "mountPath": MOUNT_PATH}


class Accounts:
    """A reader of ACCOUNTS; `late` says how many looks it takes to find them."""

    def __init__(self, late=0):
        self.late = late

    async def cached(self, plural, namespace, name):
        assert (plural, namespace) == ("serviceaccounts", "default")
        self.late -= 1
        return ACCOUNTS.get(name) if self.late < 0 else None


async def admit(document, reader=None, verb="create", subresource=""):
    attributes = Attributes(
        verb, KINDS["Pod"], "default", "p", subresource, "bob", (), None, False, reader or Accounts()
    )
    document = {"metadata": {"uid": "u"} | document.get("metadata", {}), **document}
    await ServiceAccount().mutate(document, attributes)
    await ServiceAccount().validate(document, attributes)
    return document["spec"]


def pod(**spec):
    return {"metadata": {"uid": "u"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]} | spec}


@scenario
async def test_a_pod_runs_as_default_and_sees_its_token_in_every_container():
    spec = await admit(pod(initContainers=[{"name": "i"}]))
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
            {
                "downwardAPI": {
                    "items": [
                        {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}
                    ]
                }
            },
        ],
    }
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["volumeMounts"] == [MOUNT | {"name": volume["name"]}]


@scenario
async def test_what_a_container_has_there_stays():
    own = {"name": "mine", "mountPath": MOUNT_PATH}
    given = pod(containers=[{"name": "a", "volumeMounts": [own]}], volumes=[{"name": "mine", "emptyDir": {}}])
    spec = await admit(given)
    assert spec["containers"][0]["volumeMounts"] == [own]
    assert [volume["name"] for volume in spec["volumes"]] == ["mine"]


@scenario
async def test_a_pod_that_was_read_from_a_cluster_keeps_its_volume():
    first = await admit(pod())
    again = await admit({"metadata": {"uid": "other"}, "spec": copy.deepcopy(first)})
    assert again == first


@pytest.mark.parametrize(
    ("spec", "is_mounted"),
    [
        ({}, True),
        ({"serviceAccountName": "silent"}, False),
        ({"serviceAccountName": "silent", "automountServiceAccountToken": True}, True),
        ({"automountServiceAccountToken": False}, False),
    ],
)
def test_a_token_is_mounted_unless_the_pod_or_else_the_account_says_no(spec, is_mounted):
    assert ("volumes" in asyncio.run(admit(pod(**spec)))) == is_mounted


@scenario
async def test_pull_secrets_come_from_the_account_unless_the_pod_has_its_own():
    spec = await admit(pod(serviceAccountName="pulling"))
    assert spec["imagePullSecrets"] == [{"name": "key"}]
    own = [{"name": "mine"}]
    assert (await admit(pod(serviceAccountName="pulling", imagePullSecrets=own)))["imagePullSecrets"] == own


@scenario
async def test_an_account_that_is_not_there_is_refused():
    with pytest.raises(StatusError) as caught:
        await admit(pod(serviceAccountName="nobody"))
    assert caught.value.code == 403
    assert caught.value.message == (
        'pods "p" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
    )


@scenario
async def test_the_default_account_is_waited_for_a_moment():
    assert (await admit(pod(), Accounts(late=2)))["serviceAccountName"] == "default"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"serviceAccountName": "default"}, "a mirror pod may not reference service accounts"),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "a mirror pod may not reference secrets"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            "a mirror pod may not use ServiceAccountToken volume projections",
        ),
    ],
)
def test_mirror_pods_get_nothing(spec, why):
    given = pod(**spec) | {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}
    with pytest.raises(StatusError, match=why):
        asyncio.run(admit(given))


@scenario
async def test_only_the_making_of_pods_matters():
    for verb, subresource in (("update", ""), ("delete", ""), ("create", "binding")):
        assert await admit(pod(), verb=verb, subresource=subresource) == pod()["spec"]
