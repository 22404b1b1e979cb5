"""Writes that were given up and arrive after everything that was decided since."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sim.control.world import deployment

from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.apps_v1 import DEPLOYMENTS, REPLICASETS
from minik8s.api.errors import StatusError
from minik8s.client.client import Client
from minik8s.control.controllers.deployment import DeploymentController

from .running import controllers, until


@dataclass
class Recorder:
    """An API, and a transport to it that remembers what went through."""

    api: Any
    requests: list[Any] = field(default_factory=list)

    def as_user(self, user):
        inner = self.api.as_user(user)
        call = inner.call

        async def recorded(request):
            self.requests.append(request)
            return await call(request)

        inner.call = recorded
        return inner


@scenario
async def test_a_size_that_was_given_up_does_not_take_hold_late():
    async with local_api() as api:
        recorder = Recorder(api)
        client = Client(api.as_user(ADMIN), field_manager="test")
        async with controllers(recorder, DeploymentController):
            await client.create(DEPLOYMENTS, deployment("web", 2))

            async def is_of(size):
                found = (await client.list(REPLICASETS, namespace="default")).items
                return found and found[0].spec.replicas == size

            for size in (2, 3, 1):
                await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": size}}, namespace="default")
                await until(lambda wanted=size: is_of(wanted))
            sizes = [
                each for each in recorder.requests if each.resource == "replicasets" and b'"replicas":3' in each.body
            ]
            (given_up,) = [each for each in sizes if each.verb == "patch" and not each.subresource]
            with pytest.raises(StatusError) as caught:
                await api.as_user(ADMIN).call(given_up)
            assert caught.value.reason == "Conflict"
            assert await is_of(1)
