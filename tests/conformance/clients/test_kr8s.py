"""kr8s, which learns what there is by discovery: objects, patches, its watch."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx
import kr8s
import pytest
from kr8s.asyncio import Api
from kr8s.asyncio.objects import ConfigMap, Deployment

from .test_python_client import deployment
from .world import World

pytestmark = pytest.mark.slow

DEATH = (httpx.HTTPError, kr8s.ServerError, kr8s.APITimeoutError, OSError)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 40))


async def api_of(world: World, namespace: str) -> Api:
    return await kr8s.asyncio.api(kubeconfig=str(world.kubeconfig()), namespace=namespace)


def configmap(name: str, api: Api, namespace: str) -> ConfigMap:
    return ConfigMap({"metadata": {"name": name, "namespace": namespace}, "data": {"x": "1"}}, api=api)


def test_objects_are_made_listed_patched_in_each_way_and_deleted(world: World, namespace: str):
    async def scenario() -> None:
        api = await api_of(world, namespace)
        web = Deployment(deployment("web") | {"metadata": {"name": "web", "namespace": namespace}}, api=api)
        await web.create()
        assert web.metadata.uid
        await web.patch({"spec": {"paused": True}})
        assert web.spec.paused is True
        await web.patch([{"op": "remove", "path": "/spec/paused"}], type="json")
        assert "paused" not in web.spec
        await web.scale(3)
        assert web.replicas == 3
        await web.label({"tier": "front"})
        found = [item.name async for item in api.get("deployments", label_selector="tier=front", namespace=namespace)]
        assert found == ["web"]
        await web.delete()
        assert not await web.exists()

    run(scenario())


def test_a_watch_is_told_of_lost_history(world: World, namespace: str):
    async def scenario() -> None:
        api = await api_of(world, namespace)
        await configmap("a", api, namespace).create()
        call = {"namespace": namespace, "params": {"watch": "true", "resourceVersion": "1"}, "stream": True}
        async with api.call_api("GET", version="v1", url="configmaps", **call) as answer:
            lines = [line async for line in answer.aiter_lines()]
        assert '"code":410' in lines[0]
        async for event, item in api.watch("configmaps", namespace=namespace):
            assert event == "ADDED"
            if item.name == "a":
                return

    run(scenario())


def test_calls_and_a_watch_outlive_an_apiserver(world: World, namespace: str):
    async def scenario() -> None:
        api = await api_of(world, namespace)
        seen: set[str] = set()

        async def follow() -> None:
            while "z" not in seen:
                try:
                    async for _, item in api.watch("configmaps", namespace=namespace):
                        seen.add(item.name)
                        if item.name == "z":
                            return
                except DEATH:
                    await asyncio.sleep(0.1)

        async def make(name: str) -> None:
            while True:
                try:
                    await configmap(name, api, namespace).create()
                except DEATH:
                    await asyncio.sleep(0.1)
                else:
                    return

        follower = asyncio.ensure_future(follow())
        for name in ("x", "y"):
            with world.one_server_dead():
                await make(name)
        await make("z")
        await asyncio.wait_for(follower, 10)
        assert seen >= {"x", "y", "z"}

    run(scenario())
