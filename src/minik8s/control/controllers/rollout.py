"""How far each ReplicaSet of a Deployment may be scaled now: the arithmetic of rolling updates. Pure.

Both bounds hold at every moment, whatever the caches show:

* at most replicas + maxSurge pods. A ReplicaSet counts as the larger of what it should have and what it has, and no
  one is scaled up before every one has answered its last change (observedGeneration). Upstream counts only what should
  be, and exceeds the bound while a scale-down is still under way.
* at least replicas - maxUnavailable available pods, if there were that many. A ReplicaSet's available pods are the
  smaller of what it reports and what it should keep.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minik8s.api.apps_v1 import Deployment, ReplicaSet
from minik8s.control.controllers.revisions import by_age, desired_of, maximum_of


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a Deployment's spec says, with defaults and percentages resolved."""

    replicas: int
    max_surge: int
    max_unavailable: int

    @property
    def maximum(self) -> int:
        """Pods there may be; a Deployment of none has none."""
        return self.replicas + self.max_surge if self.replicas else 0

    @property
    def minimum(self) -> int:
        """Available pods there must be."""
        return self.replicas - self.max_unavailable


def bounds_of(deployment: Deployment) -> Bounds:
    """As upstream's ResolveFenceposts: surge rounds up, unavailable down, and both zero means one unavailable."""
    spec = deployment.spec
    assert spec is not None
    replicas = 1 if spec.replicas is None else spec.replicas
    if is_recreate(deployment):
        return Bounds(replicas, 0, replicas)
    rolling = spec.strategy.rollingUpdate if spec.strategy else None
    surge = _resolve(rolling.maxSurge if rolling else None, replicas, math.ceil)
    unavailable = _resolve(rolling.maxUnavailable if rolling else None, replicas, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def is_recreate(deployment: Deployment) -> bool:
    """Whether old pods must be gone before new ones start."""
    strategy = deployment.spec.strategy if deployment.spec else None
    return strategy is not None and strategy.type == "Recreate"


def size(replicaset: ReplicaSet) -> int:
    """The pods a ReplicaSet should have."""
    assert replicaset.spec is not None
    return 1 if replicaset.spec.replicas is None else replicaset.spec.replicas


def available(replicaset: ReplicaSet) -> int:
    """The available pods a ReplicaSet is sure to keep."""
    return min((replicaset.status and replicaset.status.availableReplicas) or 0, size(replicaset))


def is_settled(replicaset: ReplicaSet) -> bool:
    """Whether its status answers its spec of now."""
    assert replicaset.metadata is not None
    observed = (replicaset.status and replicaset.status.observedGeneration) or 0
    return observed >= (replicaset.metadata.generation or 0)


def room(bounds: Bounds, replicasets: Sequence[ReplicaSet]) -> int:
    """How many pods may be added now."""
    if not all(map(is_settled, replicasets)):
        return 0
    return max(0, bounds.maximum - sum(max(size(one), _existing(one)) for one in replicasets))


def scale_up(bounds: Bounds, new: ReplicaSet, old: Sequence[ReplicaSet]) -> dict[str, int]:
    """New sizes by name: the new ReplicaSet grows as far as there is room, or shrinks to what is wanted."""
    assert new.metadata is not None and new.metadata.name is not None
    if size(new) > bounds.replicas:
        return {new.metadata.name: bounds.replicas}
    growth = min(room(bounds, [new, *old]), bounds.replicas - size(new))
    return {new.metadata.name: size(new) + growth} if growth > 0 else {}


def scale_down(bounds: Bounds, new: ReplicaSet, old: Sequence[ReplicaSet]) -> dict[str, int]:
    """New sizes by name: the old ReplicaSets give up unhealthy pods first, then what the new one makes spare."""
    active = [one for one in by_age(old) if size(one) > 0]
    total = sum(map(size, [new, *old]))
    spare = total - bounds.minimum - (size(new) - available(new))
    if spare <= 0 or not active:
        return {}
    sizes = {one.metadata.name: size(one) for one in active}
    for one in active:
        if is_settled(one):
            # As upstream's cleanupUnhealthyReplicas: giving these up costs no availability.
            count = min(spare, size(one) - available(one))
            sizes[one.metadata.name] -= count
            spare -= count
    spare = min(
        spare, available(new) + sum(min(available(one), sizes[one.metadata.name]) for one in active) - bounds.minimum
    )
    for one in active:
        count = max(0, min(spare, sizes[one.metadata.name]))
        sizes[one.metadata.name] -= count
        spare -= count
    return {one.metadata.name: sizes[one.metadata.name] for one in active if sizes[one.metadata.name] != size(one)}


def is_resized(bounds: Bounds, replicasets: Sequence[ReplicaSet]) -> bool:
    """Whether spec.replicas of the Deployment has changed since its ReplicaSets were scaled."""
    wanted = [desired_of(one) for one in replicasets if size(one) > 0]
    return any(desired is not None and desired != bounds.replicas for desired in wanted)


def resize(bounds: Bounds, new: ReplicaSet | None, old: Sequence[ReplicaSet], *, rolling: bool) -> dict[str, int]:
    """Sizes by name after a change of spec.replicas, or of a paused Deployment: all shares in proportion.

    Names what stays as it is too, so that its annotations come to know the new size; empty means wait.
    """
    everyone = [*old, new] if new else list(old)
    active = [one for one in by_age(everyone) if size(one) > 0]
    if len(active) <= 1:
        only = active[0] if active else new or (by_age(old)[-1] if old else None)
        return {only.metadata.name: bounds.replicas} if only else {}
    if new is not None and size(new) == bounds.replicas == (new.status and new.status.availableReplicas):
        return {one.metadata.name: bounds.replicas if one is new else 0 for one in active}
    if not rolling:
        return {one.metadata.name: size(one) for one in active}
    allowed = bounds.maximum
    total = sum(map(size, active))
    missing = allowed - total
    if missing > 0 and not all(map(is_settled, active)):
        return {}
    # The largest first; among equals the newest when growing, the oldest when shrinking.
    aged = list(reversed(active)) if missing > 0 else active
    shares = sorted(aged, key=size, reverse=True)
    sizes, left = {}, missing
    for one in shares:
        share = _share(one, bounds, missing, left)
        sizes[one.metadata.name] = size(one) + share
        left -= share
    first = shares[0].metadata.name
    sizes[first] = max(0, sizes[first] + left)
    return sizes


def _share(replicaset: ReplicaSet, bounds: Bounds, missing: int, left: int) -> int:
    """A ReplicaSet's part of `missing` pods, never more than is `left`; as upstream's GetReplicaSetProportion."""
    if left == 0:
        return 0
    before = maximum_of(replicaset) or bounds.replicas
    grown = size(replicaset) * bounds.maximum / before if before else 0.0
    share = math.floor(grown + 0.5) - size(replicaset)
    return min(share, left) if missing > 0 else max(share, left)


def _existing(replicaset: ReplicaSet) -> int:
    return replicaset.status.replicas if replicaset.status else 0


def _resolve(value: int | str | None, replicas: int, rounding: Callable[[float], int]) -> int:
    value = "25%" if value is None else value
    return rounding(replicas * int(value.removesuffix("%")) / 100) if isinstance(value, str) else value
