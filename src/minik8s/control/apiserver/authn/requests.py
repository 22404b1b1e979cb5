"""serviceaccounts/token: bound tokens for ServiceAccounts, made on request and stored nowhere.

Installed by `core` as an answer of the API. Wording as kube-apiserver's.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Response
from minik8s.control.apiserver import schema
from minik8s.control.apiserver.admission.node_restriction import check_token
from minik8s.control.apiserver.authn.accounts import AccountConfig, Objects, bound_claims
from minik8s.control.apiserver.causes import invalid
from minik8s.control.apiserver.pipeline import Call
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.tokenrequest import TOKENREQUESTS
from minik8s.kit import ids
from minik8s.kit.clock import Clock, timestamp

_DEFAULT_S = 3600
_MIN_S = 600
_MAX_S = 1 << 32
_KINDS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}

_encode = msgspec.json.Encoder().encode

_Bound = dict[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class TokenRequests:
    """Issues tokens."""

    config: AccountConfig
    objects: Objects
    clock: Clock
    rng: random.Random

    async def create(self, call: Call) -> Response:
        """POST serviceaccounts/NAME/token. Raises StatusError BadRequest, NotFound, Conflict, Invalid."""
        if self.config.signing_key is None:
            why = "tokens are not issued: the apiserver runs without --service-account-signing-key-file"
            raise StatusError("ServiceUnavailable", why)
        request = call.request
        given, warnings = schema.decode(request.body, request.content_type, TOKENREQUESTS, call.field_validation)
        spec: dict[str, Any] = given.get("spec") or {}
        expiration_s = spec.get("expirationSeconds", _DEFAULT_S)
        if fault := _fault(expiration_s):
            field = "spec.expirationSeconds"
            raise errors.invalid("TokenRequest", TOKENREQUESTS.group, "", [invalid(field, expiration_s, fault)])
        reference = spec.get("boundObjectRef")
        asked = spec.get("audiences") or ()
        await check_token(call.user, request.namespace, request.name, reference, self.objects, audiences=asked)
        account = await self.objects.get("serviceaccounts", request.namespace, request.name)
        if account is None:
            raise call.not_found()
        if self.config.expiration_s_max and expiration_s > self.config.expiration_s_max:
            warnings.append(
                f"requested expiration of {expiration_s} seconds shortened to {self.config.expiration_s_max} seconds"
            )
            expiration_s = self.config.expiration_s_max
        bound = await self._bound(account, reference)
        audiences = spec.get("audiences") or list(self.config.api_audiences)
        now_s = self.clock.now_s()
        claims = bound_claims(
            self.config,
            account,
            audiences=audiences,
            now_s=now_s,
            expiration_s=expiration_s,
            identifier=ids.new_uuid(self.rng),
            bound=bound,
        )
        token = "" if call.is_dry_run else self.config.signing_key.sign(claims)
        request.annotations["authentication.kubernetes.io/issued-credential-id"] = f"JTI={claims['jti']}"
        return Response(
            _encode(self._answer(account, spec, audiences, claims, token)), code=201, warnings=tuple(warnings)
        )

    def _answer(
        self, account: Document, spec: Document, audiences: list[str], claims: Mapping[str, Any], token: str
    ) -> Document:
        meta = account["metadata"]
        expiration_s = claims["exp"] - claims["iat"]
        return {
            "kind": "TokenRequest",
            "apiVersion": TOKENREQUESTS.api_version,
            "metadata": {
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
                "creationTimestamp": timestamp(self.clock),
            },
            "spec": spec | {"audiences": audiences, "expirationSeconds": expiration_s},
            "status": {
                "token": token,
                "expirationTimestamp": datetime.fromtimestamp(claims["exp"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }

    async def _bound(self, account: Document, reference: Document | None) -> _Bound:
        """What the token is bound to: pod, secret or node → name and uid; a pod brings its node."""
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        if kind not in _KINDS or reference.get("apiVersion", "") not in ("", "v1"):
            what = f"{reference.get('apiVersion', '')}, Kind={kind}"
            raise errors.bad_request(f"cannot bind token to object of type {what}")
        meta = account["metadata"]
        found = await self.objects.get(_KINDS[kind], "" if kind == "Node" else meta["namespace"], name)
        if found is None:
            raise errors.not_found(_KINDS[kind], "", name)
        uid = found["metadata"]["uid"]
        if kind == "Pod" and found.get("spec", {}).get("serviceAccountName", "") != meta["name"]:
            raise errors.bad_request(
                f'cannot bind token for serviceaccount "{meta["name"]}" to pod running with different '
                "serviceaccount name."
            )
        if reference.get("uid") and reference["uid"] != uid:
            raise errors.conflict(
                _KINDS[kind],
                "",
                name,
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        bound: _Bound = {kind.lower(): {"name": name, "uid": uid}}
        if kind == "Pod" and (node_name := found["spec"].get("nodeName")):
            node = await self.objects.cached("nodes", "", node_name)
            bound["node"] = {"name": node_name, "uid": node["metadata"]["uid"]} if node else {"name": node_name}
        return bound


def _fault(expiration_s: int) -> str:
    if expiration_s < _MIN_S:
        return "may not specify a duration less than 10 minutes"
    return "may not specify a duration larger than 2^32 seconds" if expiration_s > _MAX_S else ""
