"""The one write path: every create, update, patch and delete, of every client, over REST, gRPC or in process.

    load → patch → decode → keep what clients cannot change → default → admission → validate → commit

Called by `handler` with an authorized Call; calls `schema`, the Resource's hooks, the admission chain and `registry`.
A write is optimistic: what it was computed from is what it replaces. If the object changed meanwhile, it is computed
again, unless the client named the resourceVersion it meant. A write that changes nothing is not made.
"""

import contextlib
import copy
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request, Response
from minik8s.control.apiserver import deletion, metadata, ownership, patch, schema, versions
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin, Reader
from minik8s.control.apiserver.admission.resource_quota import ResourceQuota
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.leases import Leases
from minik8s.control.apiserver.registry import ClaimTaken, Overtaken, Registry, Rewrite, Stored, Superseded, key_of
from minik8s.control.apiserver.resource import Claim, Document, Resource
from minik8s.control.apiserver.resources.scale import SCALES, read_config
from minik8s.control.apiserver.views import OBJECT, Binding, View, bind
from minik8s.kit.clock import Clock, timestamp

_CREATE_ATTEMPTS = 8  # of generated names and addresses, as upstream
_REWRITE_ATTEMPTS = 6


async def _may() -> None:
    """The leave of those whose leave is not asked."""


@dataclass(frozen=True, slots=True)
class Call:
    """An authorized write."""

    user: User
    resource: Resource
    request: Request
    asked: Resource | None = None  # the version the client speaks, if it is not the stored one
    # Raises StatusError Forbidden unless the user may create the object too: an apply does if there is none.
    may_create: Callable[[], Awaitable[None]] = _may

    @property
    def is_dry_run(self) -> bool:
        """Whether everything is done but the commit."""
        return self.request.query.get("dryRun", "") == "All"

    @property
    def field_validation(self) -> str:
        """What becomes of unknown fields: Ignore, Warn (if not said) or Strict."""
        return self.request.query.get("fieldValidation") or "Warn"

    def not_found(self) -> errors.StatusError:
        """The 404 of this call's object."""
        return errors.not_found(self.resource.plural, self.resource.group, self.request.name)


_encode = msgspec.json.Encoder().encode

_Change = Callable[[Document], tuple[Document, list[str]]]


class Pipeline:
    """Writes for one apiserver."""

    def __init__(
        self,
        registry: Registry,
        leases: Leases,
        reader: Reader,
        chain: Sequence[Plugin],
        *,
        quota: ResourceQuota | None = None,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._registry = registry
        self._quota = quota
        self._leases = leases
        self._chain = tuple(chain)
        self._reader = reader
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
        return await self._make(call, view, asked, warnings)

    async def _make(
        self, call: Call, view: View, asked: Document, warnings: Sequence[str], *, is_applied: bool = False
    ) -> Response:
        """Create what is asked for. An applied object brings its managedFields."""
        resource, request = call.resource, call.request
        for attempt in range(1, _CREATE_ATTEMPTS + 1):
            document = copy.deepcopy(asked)
            owned = document["metadata"].pop("managedFields", None)
            metadata.stamp(resource, document, now=timestamp(self._clock), rng=self._rng)
            resource.prepare_create(document)
            resource.default(document)
            self._own(call, None, document, owned, is_applied=is_applied)
            told = (*warnings, *await self._admit(call, document, None, view))
            name = document["metadata"]["name"]
            claims = resource.claims(document)
            try:
                async with self._charge(call, document, None, view) as beside:
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
                if "name" in asked["metadata"] or attempt == _CREATE_ATTEMPTS:
                    raise errors.already_exists(resource.plural, resource.group, name) from None
            except ClaimTaken as taken:
                _refuse_asked(resource, document, resource.claims(asked), claims, taken)
            except Overtaken:
                pass  # A quota changed meanwhile: judge again.
        raise errors.internal(f"no free address or name was found in {_CREATE_ATTEMPTS} attempts")

    async def update(self, call: Call, view: View) -> Response:
        """PUT of an object or of a subresource."""
        request, shown = call.request, view.resource or call.resource
        given, warnings = schema.decode(request.body, request.content_type, shown, call.field_validation)
        metadata.place(call.resource, given, namespace=request.namespace, name=request.name)
        if shown.custom and not given["metadata"].get("resourceVersion"):
            await self._load(call)
            cause = errors.Cause(
                "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion"
            )
            raise errors.invalid(shown.kind, shown.group, request.name, [cause])
        return await self._rewrite(call, view, lambda old: (view.write(old, copy.deepcopy(given)), warnings))

    async def patch(self, call: Call, view: View) -> Response:
        """PATCH of an object or of a subresource."""
        request, shown = call.request, view.resource or call.resource
        if ownership.is_apply(request):
            return await self._apply(call, view)
        operations = patch.parse(request, shown)

        def change(old: Document) -> tuple[Document, list[str]]:
            seen = view.read(copy.deepcopy(old))
            patched = patch.apply(seen, copy.deepcopy(operations), request.content_type, shown.model)
            checked, warnings = schema.check(patched, shown, call.field_validation)
            metadata.place(call.resource, checked, namespace=request.namespace, name=request.name)
            return view.write(old, checked), warnings

        return await self._rewrite(call, view, change)

    async def _apply(self, call: Call, view: View) -> Response:
        """Server-side apply, which makes the object if there is none."""
        request, shown = call.request, view.resource or call.resource
        config, warnings = patch.parse_config(request, shown, call.field_validation)
        metadata.place(call.resource, config, namespace=request.namespace, name=request.name)
        asked = call.asked or call.resource
        if view.resource is SCALES:
            config = read_config(asked, config)

        def change(live: Document | None) -> tuple[Document, list[str]]:
            now = timestamp(self._clock)
            seen = live if live is None or view.resource in (None, SCALES) else view.read(live)
            applied, owned = ownership.after_apply(call.resource, asked, request, seen, config, now)
            if view.resource is SCALES:
                applied = view.read(applied)
            checked, told = schema.check(applied, shown, call.field_validation)
            metadata.place(call.resource, checked, namespace=request.namespace, name=request.name)
            new = view.write(live or {}, checked)
            new["metadata"]["managedFields"] = owned
            return new, [*warnings, *told]

        for _ in range(_REWRITE_ATTEMPTS):
            try:
                return await self._rewrite(call, view, change, is_applied=True)
            except StatusError as error:
                if error.reason != "NotFound" or request.subresource or error.name != request.name:
                    raise
            if uid := config["metadata"].get("uid"):
                why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                raise errors.conflict(call.resource.plural, call.resource.group, request.name, why)
            await call.may_create()
            new, told = change(None)
            new["metadata"].pop("resourceVersion", None)
            try:
                making = replace(call, request=replace(request, verb="create"))
                return await self._make(making, view, new, told, is_applied=True)
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
        raise errors.conflict(call.resource.plural, call.resource.group, request.name)

    def _own(self, call: Call, old: Document | None, new: Document, given: Any, *, is_applied: bool = False) -> None:
        """Note in managedFields whose fields this write touches. `given` is what the client says they were."""
        request = call.request
        if is_applied:
            owned = given
        elif request.subresource == "binding":  # as upstream
            owned = (old or new)["metadata"].get("managedFields")
        else:
            asked = call.asked or call.resource
            owned = ownership.after_write(call.resource, asked, request, old, new, given, timestamp(self._clock))
        if owned:
            new["metadata"]["managedFields"] = owned

    async def bind(self, call: Call) -> Response:
        """POST to pods/binding. Raises StatusError Conflict if the pod is bound."""
        try:
            binding = msgspec.json.decode(call.request.body, type=Binding)
        except msgspec.DecodeError as error:
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type Binding): {error}"
            ) from None
        now = timestamp(self._clock)
        done = await self._rewrite(call, OBJECT, lambda old: (bind(old, binding, now), []))
        return Response(_encode(success()), done.revision, 201)

    async def delete(self, call: Call) -> Response:
        """DELETE of an object: its removal, or the mark that begins it."""
        options = deletion.parse_options(call.request)
        if options.dryRun:
            call = replace(call, request=replace(call.request, query={**call.request.query, "dryRun": "All"}))
        stored = await self._load(call)
        for _ in range(_REWRITE_ATTEMPTS):
            old = stored.document()
            deletion.check_preconditions(call.resource, old, options)
            told = await self._admit_delete(call, old)
            verdict = deletion.delete(call.resource, old, options, self._clock.now_s())
            try:
                return replace(await self._carry_out(call, stored, verdict), warnings=tuple(told))
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

    async def _rewrite(self, call: Call, view: View, change: _Change, *, is_applied: bool = False) -> Response:
        """Compute the object anew from what is stored, and replace it."""
        resource = call.resource
        stored = await self._load(call)
        for _ in range(_REWRITE_ATTEMPTS):
            old = stored.document()
            new, warnings = change(copy.deepcopy(old))
            metadata.carry_over(resource, new, old)
            owned = new["metadata"].pop("managedFields", None)
            asked = resource.claims(new)
            if not call.request.subresource:
                _keep_status(resource, new, old)
                resource.default(new)
                resource.prepare_update(new, old)
            self._own(call, old, new, owned, is_applied=is_applied)
            told = (*warnings, *await self._admit(call, new, old, view))
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
        async with self._charge(call, new, old, view) as beside:
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

    async def _load(self, call: Call) -> Stored:
        stored = await self._at(call.resource).get(key_of(call.resource, call.request.namespace, call.request.name))
        if stored is None:
            raise call.not_found()
        return stored

    async def _admit(self, call: Call, document: Document, old: Document | None, view: View) -> list[str]:
        """Run admission and validation; what to warn the client of. Raises StatusError Forbidden, Invalid."""
        attributes = self._attributes(call, document["metadata"].get("name", ""), old, view)
        with attributes.telling():
            for plugin in self._chain:
                await plugin.mutate(document, attributes)
            metadata.drop_empty(document)
            resource = call.resource
            if old is None:
                resource.prepare_create(document)  # Once more: what follows from the spec (QoS) follows from this one.
            causes = metadata.faults(resource, document, old)
            causes += resource.custom.validate(document, old) if resource.custom else resource.validate(document)
            if old is not None and call.request.subresource != "binding":  # A binding changes what no update may.
                causes += resource.validate_update(document, old)
            if causes:
                raise errors.invalid(resource.kind, resource.group, document["metadata"].get("name", ""), causes)
            for plugin in self._chain:
                await plugin.validate(document, attributes)
        return attributes.warnings

    def _charge(
        self, call: Call, document: Document, old: Document | None, view: View
    ) -> contextlib.AbstractAsyncContextManager[Sequence[Rewrite]]:
        """What quotas come to when the write is made, within the block. Raises StatusError Forbidden."""
        if self._quota is None:
            return contextlib.nullcontext(())
        return self._quota.charge(document, self._attributes(call, document["metadata"].get("name", ""), old, view))

    async def _admit_delete(self, call: Call, old: Document) -> list[str]:
        attributes = self._attributes(call, call.request.name, old, OBJECT)
        with attributes.telling():
            for plugin in self._chain:
                await plugin.mutate({}, attributes)
                await plugin.validate({}, attributes)
        return attributes.warnings

    def _attributes(self, call: Call, name: str, old: Document | None, view: View) -> Attributes:
        request = call.request
        return Attributes(
            verb=request.verb,
            resource=call.resource,
            namespace=request.namespace,
            name=name,
            subresource=request.subresource,
            user_name=call.user.name,
            groups=call.user.groups,
            uid=getattr(call.user, "uid", ""),
            extra=getattr(call.user, "extra", None) or {},
            old=old,
            dry_run=call.is_dry_run,
            reader=self._reader,
            request=request,
            asked=call.asked,
            view=view,
        )


def success(resource: Resource | None = None, document: Document | None = None) -> Document:
    """The Status of a call that has no object to answer with."""
    status: Document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
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
            new["status"] = copy.deepcopy(old["status"])


def _refuse_asked(
    resource: Resource, document: Document, asked: Sequence[Claim], claims: Sequence[Claim], taken: ClaimTaken
) -> None:
    """Raise 422 if the client asked for what is taken; what admission picked is picked again."""
    names = {claim.name for claim in asked} & set(taken.names)
    if causes := [claim.taken for claim in claims if claim.name in names]:
        raise errors.invalid(resource.kind, resource.group, document["metadata"]["name"], causes) from None
