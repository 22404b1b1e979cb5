"""Keeps APIServices: local ones for all that is served here, and of the others whether they answer.

Runs in every apiserver, as kube-aggregator's controllers do. A check is a GET of the group version's resources, whose
answer is also what discovery shows of it (`remotes`). Verdicts are written when they change, guarded by the revision
they were made at.
"""

import asyncio
import contextlib
import random
from asyncio import sleep
from collections.abc import Mapping, Sequence

import aiohttp
import msgspec
from yarl import URL

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, MERGE_PATCH, Request
from minik8s.control.apiserver.authn import SERVER
from minik8s.control.apiserver.extensions.aggregation import Aggregator, Remote, Unavailable
from minik8s.control.apiserver.extensions.naming import set_condition
from minik8s.control.apiserver.extensions.remotes import Remotes, RemoteVersion
from minik8s.control.apiserver.handler import Handler
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.apiservice import APISERVICES, AVAILABLE, condition
from minik8s.control.apiserver.served import Served, version_order
from minik8s.control.apiserver.webhook_client import Looks
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock, timestamp
from minik8s.kit.log import get_logger

log = get_logger(__name__)

CHECK_INTERVAL_S = 30.0
CHECK_TIMEOUT_S = 5.0  # as upstream
MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_PLACE = (APISERVICES.group, APISERVICES.version, APISERVICES.plural)
_ANSWER_BYTES_MAX = 3 * 1024 * 1024
_SERVICE_LABEL = "kubernetes.io/service-name"
_CUSTOM_PRIORITY = (1000, 100)
_BUILTIN_FIRST, _BUILTIN_STEP = 18_000, 100


class ApiServiceKeeper:
    """Registers what is served here and checks the rest."""

    def __init__(
        self,
        served: Served,
        aggregator: Aggregator,
        remotes: Remotes,
        handler: Handler,
        looks: Looks,
        *,
        told: Mapping[str, str] | None = None,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`told`: what the ConfigMap extension-apiserver-authentication is to hold; nothing: there is none."""
        self._told = dict(told or {})
        self._served = served
        self._aggregator = aggregator
        self._remotes = remotes
        self._handler = handler
        self._looks = looks
        self._clock = clock
        self._rng = rng
        self.changed = asyncio.Event()  # set to have everything looked at again

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            await self._look_for_ever()

    async def _follow(self) -> None:
        """Wake up when an APIService changes."""
        backoff = Backoff(self._rng, max_s=2.0)
        while True:
            with contextlib.suppress(StatusError):
                watcher = await self._handler.watch(Request("watch", *_PLACE))
                self.changed.set()
                async for _ in watcher:
                    backoff.reset()
                    self.changed.set()
            await sleep(backoff.next_s())

    async def _look_for_ever(self) -> None:
        backoff = Backoff(self._rng, first_s=0.2, max_s=2.0)
        generation = -1
        while True:
            self.changed.clear()
            is_well = True
            try:
                if self._told:
                    await self._tell()
                    self._told = {}
                if generation != self._served.generation:
                    generation = self._served.generation
                    await self._register()
                remotes = self._aggregator.all()
                for remote in remotes:
                    is_well = await self._check(remote) and is_well
                self._remotes.keep({remote.name for remote in remotes})
            except StatusError as error:
                log.info("APIServices have to wait", error=error.message)
                is_well = False
            if is_well:
                backoff.reset()
            pause_s = CHECK_INTERVAL_S if is_well else backoff.next_s()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), pause_s)

    async def _tell(self) -> None:
        """Say in kube-system by what servers of APIServices know clients and us, as upstream."""
        place = ("", "v1", "configmaps", "kube-system")
        name = "extension-apiserver-authentication"
        document = {"metadata": {"name": name}, "data": self._told}
        await self._write(Request("create", *place, body=msgspec.json.encode(document)))
        body = msgspec.json.encode({"data": self._told})
        await self._write(Request("patch", *place, name, body=body, content_type=MERGE_PATCH))

    async def _register(self) -> None:
        """Have an APIService for each group and version that is served here, and none for custom ones that went."""
        listed = await self._handler.call(Request("list", *_PLACE))
        existing = {item["metadata"]["name"]: item for item in msgspec.json.decode(listed.body)["items"]}
        wanted = local_services(self._served)
        for name, document in wanted.items():
            if name not in existing:
                made = await self._write(Request("create", *_PLACE, body=msgspec.json.encode(document)))
                if made is not None:
                    await self._judge(made, "True", "Local", "Local APIServices are always available")
        for name, item in existing.items():
            is_ours = (item["metadata"].get("labels") or {}).get(MANAGED) == "true"
            if is_ours and name not in wanted:
                await self._write(Request("delete", *_PLACE, name=name))

    async def _check(self, remote: Remote) -> bool:
        """Judge one, write the verdict; whether it is available."""
        fault = service_fault(
            remote.service,
            await self._looks.cached("services", remote.service["namespace"], remote.service["name"]),
            await self._looks.list("endpointslices", remote.service["namespace"]),
        )
        resources = None
        if fault is None:
            try:
                resources = await self._discover(remote)
            except (Unavailable, aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError, ValueError) as error:
                where = f"https://{remote.service['name']}.{remote.service['namespace']}.svc{remote.path}"
                fault = "FailedDiscoveryCheck", f"failing or missing response from {where}: {error}"
        self._remotes.put(remote.name, RemoteVersion(remote.group, remote.version, resources))
        if fault:
            await self._set_available(remote.name, "False", *fault)
        else:
            await self._set_available(remote.name, "True", "Passed", "all checks passed")
        return fault is None

    async def _discover(self, remote: Remote) -> Sequence[Document]:
        """The resources of a group version, from who answers it. Raises Unavailable, ValueError, DecodeError."""
        answer = await self._aggregator.ask(
            remote,
            SERVER,
            method="GET",
            target=URL.build(path=remote.path),
            headers=[("Accept", JSON)],
            timeout_s=CHECK_TIMEOUT_S,
        )
        async with answer:
            body = await answer.content.read(_ANSWER_BYTES_MAX)
        if answer.status != 200:
            raise ValueError(f"bad status from it: {answer.status}")
        document = msgspec.json.decode(body)
        found = document.get("resources") if isinstance(document, dict) else None
        if not isinstance(found, list):
            raise ValueError("it is no APIResourceList")
        return [each for each in found if isinstance(each, dict) and isinstance(each.get("name"), str)]

    async def _set_available(self, name: str, status: str, reason: str, message: str) -> None:
        found = await self._handler.call(Request("get", *_PLACE, name=name))
        document: Document = msgspec.json.decode(found.body)
        await self._judge(document, status, reason, message)

    async def _judge(self, document: Document, status: str, reason: str, message: str) -> None:
        """Write a verdict, if it is another than the last."""
        before = condition(document)
        if before and (before["status"], before.get("reason"), before.get("message")) == (status, reason, message):
            return
        set_condition(document, AVAILABLE, status, reason, message, timestamp(self._clock))
        name, body = document["metadata"]["name"], msgspec.json.encode(document)
        await self._write(Request("update", *_PLACE, name=name, subresource="status", body=body))

    async def _write(self, request: Request) -> Document | None:
        """The outcome of a write; None if another apiserver was there before."""
        try:
            written: Document = msgspec.json.decode((await self._handler.call(request)).body)
        except StatusError as error:
            if error.reason not in ("AlreadyExists", "Conflict", "NotFound"):
                raise
            return None
        return written


def local_services(served: Served) -> dict[str, Document]:
    """The APIServices of what is served here, by name. Built-in groups come first, in their order."""
    found: dict[str, Document] = {}
    places = list(dict.fromkeys((each.group, each.version, each.custom is not None) for each in served.all))
    groups = list(dict.fromkeys(group for group, _, is_custom in places if not is_custom))
    for group, version, is_custom in places:
        group_priority, version_priority = _CUSTOM_PRIORITY
        if not is_custom:
            group_priority = _BUILTIN_FIRST - _BUILTIN_STEP * groups.index(group)
            others = sorted((other for each, other, _ in places if each == group), key=version_order, reverse=True)
            version_priority = 15 * (others.index(version) + 1)
        name = f"{version}.{group}"
        spec = {"version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority}
        found[name] = {
            "metadata": {"name": name, "labels": {MANAGED: "true" if is_custom else "onstart"}},
            "spec": spec | ({"group": group} if group else {}),
        }
    return found


def service_fault(reference: Document, service: Document | None, slices: Sequence[Document]) -> tuple[str, str] | None:
    """(reason, message) if a Service cannot answer; as upstream's availability controller. Pure."""
    namespace, name, number = reference["namespace"], reference["name"], reference.get("port", 443)
    where = f'service/{name} in "{namespace}"'
    if service is None:
        return "ServiceNotFound", f"{where} is not present"
    spec = service.get("spec", {})
    if spec.get("type") == "ExternalName":
        return None
    port = next((each for each in spec.get("ports", ()) if each["port"] == number), None)
    if port is None:
        return "ServicePortError", f"{where} is not listening on port {number}"
    mine = [each for each in slices if each["metadata"].get("labels", {}).get(_SERVICE_LABEL) == name]
    if not mine:
        return "EndpointsNotFound", f"cannot find endpointslices for {where}"
    for piece in mine:
        has_port = any(each.get("name", "") == port.get("name", "") for each in piece.get("ports", ()))
        is_ready = any(each.get("conditions", {}).get("ready", True) for each in piece.get("endpoints", ()))
        if has_port and is_ready:
            return None
    shown = port.get("name", "")
    return "MissingEndpoints", f'endpoints for {where} have no addresses with port name "{shown}"'
