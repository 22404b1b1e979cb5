"""The one write path: every create, update, patch and delete, of every client, over REST, gRPC or in process.

    load → patch → decode → keep what clients cannot change → default → admission → validate → commit

Called by `handler` with an authorized Call; calls `schema`, the Resource's hooks, the admission chain and `registry`.
A write is optimistic: what it was computed from is what it replaces. If the object changed meanwhile, it is computed
again, unless the client named the resourceVersion it meant. A write that changes nothing is not made.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Response
from minik8s.control.apiserver import changes, deletion, metadata, options, ownership, schema, versions
from minik8s.control.apiserver.call import Call
from minik8s.control.apiserver.changes import Change, Changed
from minik8s.control.apiserver.gate import Gate
from minik8s.control.apiserver.leases import Leases
from minik8s.control.apiserver.managedfields import Entry
from minik8s.control.apiserver.registry import ClaimTaken, Overtaken, Registry, Rewrite, Stored, Superseded, key_of
from minik8s.control.apiserver.resource import Claim, Document, Resource
from minik8s.control.apiserver.tree import copied
from minik8s.control.apiserver.views import OBJECT, View
from minik8s.kit.clock import Clock, timestamp

_CREATE_ATTEMPTS = 8  # of generated names and addresses, as upstream
_REWRITE_ATTEMPTS = 6


_encode = msgspec.json.Encoder().encode


class Pipeline:
    """Writes for one apiserver."""

    def __init__(
        self,
        registry: Registry,
        leases: Leases,
        gate: Gate,
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._registry = registry
        self._leases = leases
        self._gate = gate
        self._clock = clock
        self._rng = rng

    async def create(self, call: Call, view: View = OBJECT) -> Response:
        """POST to a collection. Raises StatusError AlreadyExists, Invalid, Forbidden, BadRequest."""
        resource, request = call.resource, call.request
        shown = view.resource or resource
        given, warnings = schema.decode(request.body, request.content_type, shown, call.field_validation)
        asked = view.write({}, given)
        if asked["metadata"].get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        metadata.place(resource, asked, namespace=request.namespace, name=request.name)
        owned = asked["metadata"].pop("managedFields", None)
        return await self._make(call, view, Changed(asked, warnings, owned))

    async def _make(self, call: Call, view: View, wanted: Changed) -> Response:
        """Create what is asked for."""
        resource, request, asked = call.resource, call.request, wanted.document
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            document = copied(asked)
            metadata.stamp(resource, document, now=timestamp(self._clock), rng=self._rng)
            resource.prepare_create(document)
            resource.default(document)
            self._own(call, None, [], document, wanted)
            told = (*wanted.warnings, *await self._gate.admit(call, document, None, view))
            name = document["metadata"]["name"]
            claims = resource.claims(document)
            try:
                async with self._gate.charge(call, document, None, view) as beside:
                    if call.is_dry_run:
                        return Response(_encode(view.read(document)), code=201, warnings=told)
                    stored = await self._at(resource).create(
                        key_of(resource, request.namespace, name),
                        document,
                        lease=await self._leases.lease_for(resource),
                        claims=[claim.name for claim in claims],
                        beside=beside,
                    )
                body = stored.body if view.is_whole else _encode(view.read(stored.document()))
                return Response(body, stored.revision, 201, told)
            except Superseded:
                if "name" in asked["metadata"]:
                    raise errors.already_exists(resource.plural, resource.group, name) from None
                if attempt == _CREATE_ATTEMPTS:
                    raise metadata.no_name_left(resource, asked["metadata"]["generateName"]) from None
            except ClaimTaken as taken:
                _refuse_asked(resource, document, resource.claims(asked), claims, taken)
            except Overtaken:
                pass  # A quota changed meanwhile: judge again.
        raise errors.internal(f"no free address or name was found in {_CREATE_ATTEMPTS} attempts")

    async def update(self, call: Call, view: View) -> Response:
        """PUT of an object or of a subresource."""
        return await self._rewrite(call, view, changes.replacement(call, view))

    async def patch(self, call: Call, view: View) -> Response:
        """PATCH of an object or of a subresource."""
        if options.is_apply(call.request):
            return await self._apply(call, view)
        return await self._rewrite(call, view, changes.patching(call, view))

    async def _apply(self, call: Call, view: View) -> Response:
        """Server-side apply, which makes the object if there is none."""
        request = call.request
        change = changes.Applying(call, view, timestamp(self._clock))
        for _ in range(_REWRITE_ATTEMPTS):
            if request.subresource or await self._find(call):
                try:
                    return await self._rewrite(call, view, change)
                except StatusError as error:
                    if error.reason != "NotFound" or error.name != request.name or request.subresource:
                        raise
            change.refuse_uid()
            await call.may_create()
            try:
                return await self._make(replace(call, request=replace(request, verb="create")), view, change(None, []))
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
        raise errors.conflict(call.resource.plural, call.resource.group, request.name)

    async def bind(self, call: Call) -> Response:
        """POST to pods/binding. Raises StatusError Conflict if the pod is bound."""
        done = await self._rewrite(call, OBJECT, changes.binding(call, timestamp(self._clock)))
        return Response(_encode(success(code=201)), done.revision, 201)

    async def connect(self, call: Call, options: Document) -> list[str]:
        """What admission says to a request that is passed on: warnings. Raises StatusError Forbidden."""
        return await self._gate.admit_connect(call, options)

    async def delete(self, call: Call, *, is_admitted: bool = False) -> Response:
        """DELETE of an object: its removal, or the mark that begins it. An eviction was admitted as such."""
        asked = deletion.parse_options(call.request)
        if asked.dryRun:
            call = replace(call, request=replace(call.request, query={**call.request.query, "dryRun": "All"}))
        stored = await self._load(call)
        for _ in range(_REWRITE_ATTEMPTS):
            old = stored.document()
            deletion.check_preconditions(call.resource, old, asked)
            told = [] if is_admitted else await self._gate.admit_delete(call, old)
            verdict = deletion.delete(call.resource, old, asked, self._clock.now_s())
            try:
                answer = await self._carry_out(call, stored, verdict)
                code = 200 if verdict.is_gone or not deletion.is_only_accepted(asked) else 202
                return replace(answer, code=code, warnings=(*deletion.warnings_of(call.resource, asked), *told))
            except Superseded as superseded:
                stored = _current(call, superseded)
        raise errors.conflict(call.resource.plural, call.resource.group, call.request.name)

    async def _carry_out(self, call: Call, stored: Stored, verdict: deletion.Verdict) -> Response:
        if verdict.is_gone:
            revision = stored.revision if call.is_dry_run else await self._remove(call.resource, stored)
            if call.resource.kind == "Pod":
                verdict.document["metadata"]["resourceVersion"] = str(revision)
                return Response(_encode(verdict.document), revision)  # As upstream; others are a Status.
            return Response(_encode(success(call.resource, stored.document())), revision)
        if not verdict.is_changed:
            return Response(stored.body, stored.revision)
        if call.is_dry_run:
            return Response(_encode(verdict.document), stored.revision)
        marked = await self._at(call.resource).update(stored, verdict.document)
        return Response(marked.body, marked.revision)

    async def _rewrite(self, call: Call, view: View, change: Change) -> Response:
        """Compute the object anew from what is stored, and replace it."""
        resource = call.resource
        stored = await self._load(call)
        for _ in range(_REWRITE_ATTEMPTS):
            old = stored.document()
            entries = old["metadata"].pop("managedFields", [])
            changed = change(old, entries)
            new = changed.document
            metadata.carry_over(resource, new, old)
            asked = resource.claims(new)
            if not call.request.subresource:
                _keep_status(resource, new, old)
                resource.default(new)
                resource.prepare_update(new, old)
            self._own(call, old, entries, new, changed)
            told = (*changed.warnings, *await self._gate.admit(call, new, old, view))
            if call.request.subresource != "binding":  # as upstream
                metadata.bump_generation(new, old)
            try:
                body, revision = await self._replace(call, stored, old, new, view)
            except Superseded as superseded:
                stored = _current(call, superseded)
                continue
            except ClaimTaken as taken:
                _refuse_asked(resource, new, asked, resource.claims(new), taken)
                continue
            except Overtaken:
                continue
            if not view.is_whole:
                body = _encode(view.read(msgspec.json.decode(body)))
            return Response(body, revision, 200, told)
        raise errors.conflict(resource.plural, resource.group, call.request.name)

    async def _replace(self, call: Call, stored: Stored, old: Document, new: Document, view: View) -> tuple[bytes, int]:
        """(body, revision) after writing `new` over `stored`; nothing is written if they are equal."""
        if new == old and stored.is_current:
            return stored.body, stored.revision
        async with self._gate.charge(call, new, old, view) as beside:
            if call.is_dry_run:
                return _encode(new), stored.revision
            return await self._commit(call, stored, old, new, beside)

    async def _commit(
        self, call: Call, stored: Stored, old: Document, new: Document, beside: Sequence[Rewrite]
    ) -> tuple[bytes, int]:
        resource = call.resource
        if deletion.is_finished(resource, new):
            revision = await self._remove(resource, stored)
            new["metadata"]["resourceVersion"] = str(revision)
            return _encode(new), revision
        before = {claim.name for claim in resource.claims(old)}
        after = {claim.name for claim in resource.claims(new)}
        written = await self._at(resource).update(
            stored,
            new,
            lease=await self._leases.lease_for(resource),
            claims=sorted(after - before),
            releases=sorted(before - after),
            beside=beside,
        )
        return written.body, written.revision

    async def _remove(self, resource: Resource, stored: Stored) -> int:
        claims = resource.claims(stored.document())
        return await self._at(resource).delete(stored, releases=[claim.name for claim in claims])

    def _at(self, resource: Resource) -> Registry | versions.CustomRegistry:
        return versions.registry_for(self._registry, resource)

    def _own(self, call: Call, old: Document | None, entries: list[Entry], new: Document, changed: Changed) -> None:
        """Note in managedFields whose fields this write touches, and put them back where they belong."""
        if changed.is_applied:
            owned = changed.owned
        elif call.request.subresource == "binding":  # as upstream
            owned = entries
        else:
            owned = ownership.after_write(
                call.resource, call.spoken, call.request, old, entries, new, changed.owned, timestamp(self._clock)
            )
        if owned:
            new["metadata"]["managedFields"] = owned
        if entries and old:
            old["metadata"]["managedFields"] = entries

    async def _find(self, call: Call) -> Stored | None:
        return await self._at(call.resource).get(key_of(call.resource, call.request.namespace, call.request.name))

    async def _load(self, call: Call) -> Stored:
        stored = await self._find(call)
        if stored is None:
            raise call.not_found()
        return stored


def success(resource: Resource | None = None, document: Document | None = None, *, code: int = 0) -> Document:
    """The Status of a call that has no object to answer with. `code` is said if it is not the usual."""
    status: Document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if code:
        status["code"] = code
    if resource and document:
        given = document["metadata"]
        details = {"name": given["name"], "group": resource.group, "kind": resource.plural, "uid": given["uid"]}
        status["details"] = {name: value for name, value in details.items() if value}
    return status


def _current(call: Call, superseded: Superseded) -> Stored:
    if superseded.current is None:
        raise call.not_found() from None
    return superseded.current


def _keep_status(resource: Resource, new: Document, old: Document) -> None:
    """Status changes through its subresource alone."""
    if resource.has_status():
        new.pop("status", None)
        if "status" in old:
            new["status"] = copied(old["status"])


def _refuse_asked(
    resource: Resource, document: Document, asked: Sequence[Claim], claims: Sequence[Claim], taken: ClaimTaken
) -> None:
    """Raise 422 if the client asked for what is taken; what admission picked is picked again."""
    names = {claim.name for claim in asked} & set(taken.names)
    if causes := [claim.taken for claim in claims if claim.name in names]:
        raise errors.invalid(resource.kind, resource.group, document["metadata"]["name"], causes) from None
