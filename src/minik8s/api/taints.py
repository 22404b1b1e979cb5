"""Taints and tolerations: whether one answers the other."""

from minik8s.api.core_v1 import Taint, Toleration


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """As upstream's ToleratesTaint: what a toleration leaves empty, it tolerates any of."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    # An empty key is for all taints, and so only with Exists.
    return bool(toleration.key) and (toleration.value or "") == (taint.value or "")
