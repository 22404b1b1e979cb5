"""The first policy: made once, mended at every start, by one apiserver or several."""

import asyncio

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn import ADMIN
from minik8s.control.apiserver.authz.bootstrap_policy import AUTOUPDATE, parse_rule, policy
from minik8s.control.apiserver.authz.reconcile import improved, reconcile
from minik8s.control.apiserver.core import CoreConfig
from tests.control.apiserver.authz.test_rbac import RBAC, user, write
from tests.control.apiserver.harness import local_core, local_store, scenario


async def stored(core, plural, name, namespace=""):
    answer = await core.api.as_user(ADMIN).call(Request("get", RBAC, "v1", plural, namespace, name))
    return msgspec.json.decode(answer.body)


@scenario
async def test_what_was_taken_away_comes_back_and_what_was_added_stays():
    async with local_core() as core:
        mine = parse_rule("get secrets")
        await write(core, "patch", "clusterroles", name="system:kube-dns", rules=[parse_rule("list services"), mine])
        await write(core, "patch", "clusterrolebindings", name="system:kube-dns", subjects=[user("bob")])
        await write(core, "delete", "roles", "kube-system", "system:controller:token-cleaner")
        await reconcile(core.api.as_user(ADMIN), core.registry)
        rules = (await stored(core, "clusterroles", "system:kube-dns"))["rules"]
        assert mine in rules
        assert {"verbs": ["watch"], "apiGroups": [""], "resources": ["services"]} in rules
        assert {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["endpoints"]} in rules
        names = [each["name"] for each in (await stored(core, "clusterrolebindings", "system:kube-dns"))["subjects"]]
        assert names == ["bob", "kube-dns"]
        await stored(core, "roles", "system:controller:token-cleaner", "kube-system")


@scenario
async def test_a_role_that_wants_to_be_left_alone_is():
    async with local_core() as core:
        annotations = {"annotations": {AUTOUPDATE: "false"}}
        await write(core, "patch", "clusterroles", name="view", metadata=annotations)
        await write(core, "patch", "clusterroles", name="system:discovery", metadata=annotations, rules=None)
        await reconcile(core.api.as_user(ADMIN), core.registry)
        assert not (await stored(core, "clusterroles", "system:discovery")).get("rules")


@scenario
async def test_a_binding_to_another_role_is_replaced():
    async with local_core() as core:
        await write(core, "delete", "clusterrolebindings", name="system:discovery")
        other = {"kind": "ClusterRole", "name": "view", "apiGroup": RBAC}
        await write(core, "create", "clusterrolebindings", name="system:discovery", roleRef=other)
        await reconcile(core.api.as_user(ADMIN), core.registry)
        found = await stored(core, "clusterrolebindings", "system:discovery")
        assert (found["roleRef"]["name"], len(found["subjects"])) == ("system:discovery", 1)


@scenario
async def test_a_policy_that_is_whole_is_not_written():
    async with local_core() as core:
        before = await core.registry.current_revision()
        await reconcile(core.api.as_user(ADMIN), core.registry)
        assert await core.registry.current_revision() == before


@scenario
async def test_several_apiservers_may_start_at_once():
    async with local_store() as store:
        opened = [local_core(store=store, seed=seed) for seed in range(3)]
        cores = await asyncio.gather(*(each.__aenter__() for each in opened))
        try:
            for plural, wanted in policy().items():
                metadata = wanted["metadata"]
                found = await stored(cores[0], plural, metadata["name"], metadata.get("namespace", ""))
                assert improved(found, wanted) is None
        finally:
            for each in opened:
                await each.__aexit__(None, None, None)


@scenario
async def test_without_the_mode_there_is_no_policy():
    async with local_core(config=CoreConfig(authorization_modes=("AlwaysAllow",))) as core:
        with pytest.raises(StatusError, match="not found"):
            await stored(core, "clusterroles", "view")
