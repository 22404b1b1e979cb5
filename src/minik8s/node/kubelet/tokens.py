"""Tokens of the ServiceAccounts that pods run as: asked for when a volume wants one, kept, and renewed in good time.

Called by launcher.py whenever it sets up or refreshes volumes. A token is bound to its pod, so it ends with it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from minik8s.api.core_v1 import SERVICEACCOUNTS, Pod, ServiceAccountTokenProjection
from minik8s.client.client import Client
from minik8s.kit.clock import Clock

_EXPIRATION_S = 3600
_RENEWED_AT = 0.8  # of its life, as upstream
_AGE_S_MAX = 24 * 3600.0  # however long it lives


class _Status(msgspec.Struct):
    token: str
    expirationTimestamp: str


class _Answer(msgspec.Struct):
    status: _Status


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at_s: float


@dataclass(slots=True)
class TokenKeeper:
    """The tokens of a node's pods. At most as many as their volumes name."""

    client: Client
    clock: Clock
    _tokens: dict[tuple[str, str, int], _Token] = field(default_factory=dict)  # uid, audience, seconds

    async def get(self, pod: Pod, source: ServiceAccountTokenProjection) -> str:
        """A token for the pod that is good for a while. Raises StatusError when there is none and none is given."""
        assert pod.metadata is not None and pod.spec is not None
        key = (pod.metadata.uid or "", source.audience or "", source.expirationSeconds or _EXPIRATION_S)
        kept, now_s = self._tokens.get(key), self.clock.now_s()
        if kept and now_s < kept.renew_at_s:
            return kept.text
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
        spec: dict[str, Any] = {"boundObjectRef": bound, "expirationSeconds": key[2]}
        if source.audience:
            spec["audiences"] = [source.audience]
        response = await self.client.create_subresource(
            SERVICEACCOUNTS,
            pod.spec.serviceAccountName or "default",
            "token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
            namespace=pod.metadata.namespace or "",
        )
        status = msgspec.json.decode(response.body, type=_Answer).status
        life_s = datetime.fromisoformat(status.expirationTimestamp).timestamp() - now_s
        self._tokens[key] = _Token(status.token, now_s + min(life_s * _RENEWED_AT, _AGE_S_MAX))
        return status.token

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._tokens if key[0] == uid]:
            del self._tokens[key]
