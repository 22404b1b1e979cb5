"""DefaultTolerationSeconds: pods stay five minutes on a node that fails, unless they say otherwise."""

from minik8s.control.apiserver.admission.attributes import Attributes, Plugin
from minik8s.control.apiserver.resource import Document

_SECONDS = 300
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(Plugin):
    """Adds the two tolerations where no toleration covers the taints."""

    async def mutate(self, document: Document, attributes: Attributes) -> None:
        """On create and update, as kube-apiserver."""
        if not attributes.writes("pods"):
            return
        tolerations = document.get("spec", {}).get("tolerations", [])
        missing = [taint for taint in _TAINTS if not any(_covers(item, taint) for item in tolerations)]
        if missing:
            document.setdefault("spec", {})["tolerations"] = tolerations + [
                {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
                for taint in missing
            ]


def _covers(toleration: Document, taint: str) -> bool:
    return toleration.get("key", "") in (taint, "") and toleration.get("effect", "") in ("NoExecute", "")
