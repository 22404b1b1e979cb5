"""A life of two Deployments that a seed decides: rollouts, changes of size, killed components, all under faults."""

import asyncio
import random

from minik8s.api.apps_v1 import DEPLOYMENTS
from minik8s.control.controllers import rollout
from sim.control.faulty import Faults
from sim.control.world import World, deployment, world
from sim.store.virtual_loop import run


def simulate(seed: int, *, chapters: int = 6, faults: Faults | None = None) -> World:
    """The world at the end of the story. Raises AssertionError, with the seed, when a promise was broken."""
    try:
        return run(_tell(seed, chapters, faults or Faults()))
    except BaseException as error:
        error.add_note(f"seed {seed}: simulate({seed}, chapters={chapters})")
        raise


async def _tell(seed: int, chapters: int, faults: Faults) -> World:
    rng = random.Random(seed)
    async with world(seed) as made:
        sizes = {"web": 4, "api": 3}
        await made.client.create(DEPLOYMENTS, deployment("web", 4))
        surge = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}, "type": "RollingUpdate"}
        await made.client.create(DEPLOYMENTS, deployment("api", 3, strategy=surge))
        await made.settle(*sizes)
        for chapter in range(chapters):
            made.set_faults(faults)
            event = rng.choice(["rollout", "rollout", "resize", "both", "undo"])
            for name in sizes:
                await _change(made, rng, name, event, chapter, sizes)
            for _ in range(rng.randrange(3)):
                victim = rng.choice(["scheduler", "controllers"])
                await _pause(rng)
                await made.kill(victim)
                made.start(victim)
            await asyncio.sleep(rng.uniform(0, 30))
            await made.settle(*sizes, within_s=300)
            made.max_pods.clear()
            made.min_available.clear()
        assert made.violations == [], made.violations[:3]
        assert made.surplus == 0
        assert [loop.faults for manager in made.managers for loop in manager.loops if loop.faults] == []
        return made


async def _change(made: World, rng: random.Random, name: str, event: str, chapter: int, sizes: dict[str, int]) -> None:
    """Change one Deployment, and say what must hold from now until all is calm."""
    before = made.deployments.get(f"default/{name}")
    old = rollout.bounds_of(before)
    if event in ("resize", "both"):
        sizes[name] = rng.randint(1, 8)
    image = "v1" if event == "undo" else f"v{chapter + 2}" if event != "resize" else None
    spec: dict = {"replicas": sizes[name]}
    if image:
        spec["template"] = {"spec": {"containers": [{"name": "c", "image": image}]}}
    wanted = max(sizes[name], old.replicas)
    # The bound of a change of size is the larger one's; old pods go as soon as they may.
    surge = 1 if name == "api" else -(-wanted // 4)
    made.max_pods[name] = wanted + surge
    smaller = min(sizes[name], old.replicas)
    made.min_available[name] = smaller - (0 if name == "api" else smaller // 4)
    await made.client.patch(DEPLOYMENTS, name, {"spec": spec}, namespace="default")


async def _pause(rng: random.Random) -> None:
    await asyncio.sleep(rng.uniform(0, 5))
