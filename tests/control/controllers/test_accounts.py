"""What namespaces and ServiceAccounts are given: the default account, the authority, tokens; and tokens that end."""

import base64
import random
from dataclasses import dataclass

from control.apiserver.authn.tokens import config, make, remove, signing_key
from control.apiserver.harness import ADMIN, local_core, running, scenario
from minik8s.api.core_v1 import CONFIGMAPS, SECRETS, SERVICEACCOUNTS
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.control.apiserver.authn.credentials import Credentials
from minik8s.control.controllers.accounttokens import AccountTokensController
from minik8s.control.controllers.context import Config
from minik8s.control.controllers.manager import Manager
from minik8s.control.controllers.rootca import RootCaController
from minik8s.control.controllers.serviceaccount import ServiceAccountController
from minik8s.control.controllers.tokencleaner import TokenCleaner
from minik8s.kit.clock import SystemClock

from .running import until

ACCOUNT = "kubernetes.io/service-account.name"


@dataclass
class World:
    core: object
    client: Client

    async def found(self, kind, name, namespace="default"):
        try:
            return await self.client.get(kind, name, namespace=namespace)
        except StatusError as error:
            assert error.reason == "NotFound"
            return None


def at_work(*which):
    """An async test beside these controllers, at an API that issues tokens."""

    def decorate(test):
        async def run():
            async with local_core(config=config()) as core:
                client = Client(core.api.as_user(ADMIN), field_manager="test")
                manager = Manager(
                    Config(leader_elect=False, root_ca="PEM", account_key=signing_key()),
                    client,
                    clock=SystemClock(),
                    rng=random.Random(1),
                    identity="test",
                    controllers=which,
                )
                async with running(manager.run()):
                    await test(World(core, client))

        run.__name__ = test.__name__
        return scenario(run)

    return decorate


@at_work(ServiceAccountController)
async def test_every_namespace_has_its_default_account_and_gets_it_back(world):
    await make(world.core.api, "namespaces", "fresh", "")
    for namespace in ("default", "fresh"):
        first = await until(lambda where=namespace: world.found(SERVICEACCOUNTS, "default", where))
    await remove(world.core.api, "serviceaccounts", "default", "fresh")

    async def another():
        found = await world.found(SERVICEACCOUNTS, "default", "fresh")
        return found and found.metadata.uid != first.metadata.uid

    await until(another)


@at_work(RootCaController)
async def test_every_namespace_holds_the_authority_and_nobody_else_writes_it(world):
    name = "kube-root-ca.crt"
    await until(lambda: world.found(CONFIGMAPS, name))
    await world.client.patch(CONFIGMAPS, name, {"data": {"ca.crt": "forged", "more": "x"}}, namespace="default")

    async def mended():
        return (await world.found(CONFIGMAPS, name)).data == {"ca.crt": "PEM"}

    await until(mended)


@at_work(AccountTokensController)
async def test_a_secret_of_an_account_is_filled_with_a_token_that_works_and_goes_with_the_account(world):
    await make(world.core.api, "serviceaccounts", "robot")
    meta = {"name": "s", "annotations": {ACCOUNT: "robot"}}
    await make(world.core.api, "secrets", "s", metadata=meta, type="kubernetes.io/service-account-token")

    async def filled():
        found = await world.found(SECRETS, "s")
        return found if "token" in (found.data or {}) else None

    data = {name: base64.b64decode(value) for name, value in (await until(filled)).data.items()}
    assert (data["namespace"], data["ca.crt"]) == (b"default", b"PEM")
    bearing = Credentials(headers=[("authorization", f"Bearer {data['token'].decode()}")])
    await world.core.cache.reach(await world.core.registry.current_revision(), 5)
    assert (await world.core.authenticator.authenticate(bearing)).name == "system:serviceaccount:default:robot"

    await remove(world.core.api, "serviceaccounts", "robot")

    async def is_gone():
        return await world.found(SECRETS, "s") is None

    await until(is_gone)


@at_work(TokenCleaner)
async def test_bootstrap_tokens_go_when_they_expire(world):
    def data(expiration):
        return {"expiration": base64.b64encode(expiration).decode()}

    kind = "bootstrap.kubernetes.io/token"
    for name, expiration in {"old": b"2020-01-01T00:00:00Z", "new": b"2999-01-01T00:00:00Z", "odd": b"soon"}.items():
        await make(world.core.api, "secrets", name, "kube-system", type=kind, data=data(expiration))

    async def is_gone():
        return await world.found(SECRETS, "old", "kube-system") is None

    await until(is_gone)
    assert await world.found(SECRETS, "new", "kube-system")
    assert await world.found(SECRETS, "odd", "kube-system")
