"""Evictions: pods are asked to go, where their disruption budget allows it (POST pods/NAME/eviction, policy/v1).

    pod of no weight (finished, pending, going) ─────────────────────────────────────────▶ delete
    budget? none ────────────────────────────────────────────────────────────────────────▶ delete
            unready pod, and policy AlwaysAllow or a healthy budget ─────────────────────▶ delete, if it is still so
            spend: disruptionsAllowed − 1, guarded by the budget's revision ─────────────▶ delete
            nothing to spend ─▶ 429, cause DisruptionBudget

As k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go. `spend` is pure; the controller `disruption` fills
what is spent here. Two apiservers never spend one allowance: the second finds the budget changed and judges anew.
"""

import copy
from asyncio import sleep
from dataclasses import replace
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import Cause, StatusError
from minik8s.api.request import Request, Response
from minik8s.api.selectors import label_selector_matches
from minik8s.control.apiserver import deletion
from minik8s.control.apiserver.admission.attributes import Reader
from minik8s.control.apiserver.admission.node_restriction import check_eviction
from minik8s.control.apiserver.call import Call
from minik8s.control.apiserver.gate import Gate
from minik8s.control.apiserver.pipeline import Pipeline, success
from minik8s.control.apiserver.registry import Registry, Stored, Superseded, key_of
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.poddisruptionbudget import PODDISRUPTIONBUDGETS
from minik8s.kit.clock import Clock, timestamp

_ATTEMPTS = 20  # at what keeps changing, as upstream
_PAUSE_S = 0.02
_DISRUPTED_MAX = 2000  # pods that were let go and are still there
_REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget."


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class Eviction(msgspec.Struct):
    """policy/v1 Eviction."""

    kind: str = "Eviction"
    apiVersion: str = ""
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    deleteOptions: deletion.Options | None = None


class Evictions:
    """Answers POSTs to pods/eviction."""

    def __init__(self, pipeline: Pipeline, gate: Gate, registry: Registry, reader: Reader, *, clock: Clock) -> None:
        self._pipeline = pipeline
        self._gate = gate
        self._registry = registry
        self._reader = reader
        self._clock = clock

    async def answer(self, call: Call) -> Response:
        """Raises StatusError TooManyRequests, NotFound, Conflict, BadRequest."""
        eviction = _parse(call.request)
        options = _dry_run(call, eviction.deleteOptions or deletion.Options())
        if options.dryRun:
            call = replace(call, request=replace(call.request, query={**call.request.query, "dryRun": "All"}))
        told = await self._gate.admit_other(call, msgspec.json.decode(call.request.body))
        is_guarded = bool(options.preconditions and options.preconditions.resourceVersion)
        for _ in range(_ATTEMPTS):
            pod = await self._pod(call)
            check_eviction(call.user, pod.document())
            guard = await self._clearance(call, pod, is_guarded=is_guarded)
            try:
                await self._delete(call, pod, options, guard)
            except StatusError as error:
                if error.reason != "Conflict" or is_guarded or not guard:
                    raise
                # It may have become ready meanwhile, so that its budget must be asked.
                await sleep(_PAUSE_S)
                continue
            return Response(msgspec.json.encode(success(code=201)), code=201, warnings=tuple(told))
        raise _too_many("", "", retry_after_s=10)

    async def _pod(self, call: Call) -> Stored:
        stored = await self._registry.get(key_of(call.resource, call.request.namespace, call.request.name))
        if stored is None:
            raise call.not_found()
        return stored

    async def _clearance(self, call: Call, stored: Stored, *, is_guarded: bool) -> str:
        """The resourceVersion at which the pod may be deleted; "" for any. Raises StatusError if it may not."""
        pod = stored.document()
        phase = pod.get("status", {}).get("phase")
        if phase in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]:
            return ""
        here = str(stored.revision)
        if phase == "Pending":
            return here
        budgets = await self._reader.list("poddisruptionbudgets", call.request.namespace)
        labels = pod["metadata"].get("labels", {})
        names = [
            budget["metadata"]["name"]
            for budget in budgets
            if label_selector_matches(budget.get("spec", {}).get("selector"), labels)
        ]
        if len(names) > 1:
            why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise StatusError("", why, code=500)
        return await self._ask(call, pod, names[0], here) if names else ""

    async def _ask(self, call: Call, pod: Document, name: str, here: str) -> str:
        """The same, of a pod with a budget."""
        key = key_of(PODDISRUPTIONBUDGETS, call.request.namespace, name)
        for _ in range(_ATTEMPTS):
            stored = await self._registry.get(key)
            if stored is None:
                return ""
            budget = stored.document()
            if not _is_ready(pod) and _lets_unready_go(budget):
                return here
            spent = spend(budget, call.request.name, timestamp(self._clock))
            if call.is_dry_run:
                return ""
            try:
                await self._registry.update(stored, spent)
                return ""
            except Superseded:
                await sleep(_PAUSE_S)
        raise errors.timeout(f'couldn\'t update PodDisruptionBudget "{name}" due to conflicts', retry_after_s=10)

    async def _delete(self, call: Call, stored: Stored, options: deletion.Options, guard: str) -> None:
        if not call.is_dry_run and "deletionTimestamp" not in stored.document()["metadata"]:
            stored = await self._mark(call, stored)
            guard = guard and str(stored.revision)
        given = options.preconditions or deletion.Preconditions()
        if guard and not given.resourceVersion:
            given = deletion.Preconditions(given.uid, guard)
        body = msgspec.json.encode(msgspec.structs.replace(options, preconditions=given))
        request = replace(call.request, verb="delete", subresource="", body=body, query={})
        await self._pipeline.delete(replace(call, request=request), is_admitted=True)

    async def _mark(self, call: Call, stored: Stored) -> Stored:
        """The pod with the condition that says why it goes."""
        pod = stored.document()
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": timestamp(self._clock),
        }
        status = pod.setdefault("status", {})
        others = [each for each in status.get("conditions", ()) if each["type"] != condition["type"]]
        status["conditions"] = [*others, condition]
        try:
            return await self._registry.update(stored, pod)
        except Superseded:
            raise errors.conflict(call.resource.plural, call.resource.group, call.request.name) from None


def spend(budget: Document, pod_name: str, now: str) -> Document:
    """The budget after one pod was let go. Raises StatusError TooManyRequests, Forbidden."""
    name, status = budget["metadata"]["name"], budget.get("status", {})
    allowed = status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _too_many(name, f"The disruption budget {name} is still being processed by the server.", retry_after_s=10)
    if allowed < 0:
        raise errors.forbidden("poddisruptionbudget", "policy", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods", {})) > _DISRUPTED_MAX:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden("poddisruptionbudget", "policy", name, why)
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    condition = conditions.get("DisruptionAllowed", {})
    if allowed == 0:
        if condition.get("reason") == "SyncFailed":
            why = f"does not allow evicting pods currently because it failed sync: {condition.get('message', '')}"
        else:
            desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
            why = f"needs {desired} healthy pods and has {healthy} currently"
        raise _too_many(name, f"The disruption budget {name} {why}")
    new = copy.deepcopy(budget)
    status = new["status"]
    status["disruptionsAllowed"] = allowed - 1
    status["disruptedPods"] = status.get("disruptedPods", {}) | {pod_name: now}
    if allowed == 1:
        changed = condition | {"status": "False", "reason": "InsufficientPods", "lastTransitionTime": now}
        changed |= {"type": "DisruptionAllowed", "message": ""}
        status["conditions"] = list((conditions | {"DisruptionAllowed": changed}).values())
    return new


def _is_ready(pod: Document) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _lets_unready_go(budget: Document) -> bool:
    """Whether a pod that is not ready, and so counts for nothing, may go without being spent for."""
    if budget.get("spec", {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    return status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0


def _too_many(name: str, why: str, *, retry_after_s: int = 0) -> StatusError:
    causes = [Cause("DisruptionBudget", why)] if why else []
    return StatusError("TooManyRequests", _REFUSAL, causes=causes, retry_after_s=retry_after_s)


def _parse(request: Request) -> Eviction:
    try:
        eviction = msgspec.json.decode(request.body, type=Eviction)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"the object provided is unrecognized (must be of type Eviction): {error}") from None
    if eviction.kind != "Eviction" or eviction.apiVersion not in ("", "policy/v1", "policy/v1beta1"):
        raise errors.bad_request(f"not a Eviction object: {eviction.apiVersion}, Kind={eviction.kind}")
    if eviction.metadata.name != request.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    if eviction.metadata.namespace not in ("", request.namespace):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return eviction


def _dry_run(call: Call, options: deletion.Options) -> deletion.Options:
    """The options with dry run as the request or they say. Raises StatusError BadRequest if these differ."""
    asked: list[Any] = ["All"] if call.is_dry_run else []
    if options.dryRun and asked and options.dryRun != asked:
        raise errors.bad_request(f"Non-matching dry-run options in request and content: {asked} and {options.dryRun}")
    return msgspec.structs.replace(options, dryRun=options.dryRun or asked or None)
