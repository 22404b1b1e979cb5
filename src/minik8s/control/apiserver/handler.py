"""One request, whoever carried it: find the resource, ask whether the user may, read or write.

Called by the adapters: `rest` behind `http`, `grpc`, and in process through `Api.as_user`, which is the client's
Transport. Everything a client sees is a Response, a watch, or a StatusError.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request, Response
from minik8s.control.apiserver import options, versions, views
from minik8s.control.apiserver.authn import SERVER, User
from minik8s.control.apiserver.authz import attributes as authz
from minik8s.control.apiserver.authz.attributes import Authorizer
from minik8s.control.apiserver.discovery import verbs_of
from minik8s.control.apiserver.extensions.subresources import view_of
from minik8s.control.apiserver.pipeline import Call, Pipeline, success
from minik8s.control.apiserver.reads import Reader
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.served import Served
from minik8s.control.apiserver.versions import ConvertedWatcher
from minik8s.control.apiserver.views import View
from minik8s.control.apiserver.watchers import Watcher

Answer = Callable[[Call], Awaitable[Response]]


class Api:
    """The Kubernetes API of one apiserver, without a network."""

    def __init__(self, served: Served, reader: Reader, pipeline: Pipeline, authorizer: Authorizer) -> None:
        self.served = served
        self.reader = reader
        self.pipeline = pipeline
        self.authorizer = authorizer
        # (group, `resource` or `resource/subresource`) → who answers a create of it, where nothing is stored.
        self.answers: dict[tuple[str, str], Answer] = {}

    def as_user(self, user: User) -> "Handler":
        """The API as one user sees it: a client Transport."""
        return Handler(self, user)

    async def authorize(self, attributes: authz.Attributes, annotations: dict[str, str] | None = None) -> None:
        """Raises StatusError Forbidden unless the user may. `annotations` are told, for the audit log."""
        await authz.require(self.authorizer, attributes, annotations)

    def find(self, group: str, version: str, plural: str) -> Resource:
        """A served resource. Raises StatusError NotFound."""
        resource = self.served.find(group, version, plural)
        if resource is None:
            raise errors.unknown_path()
        return resource

    async def look_up(self, group: str, version: str, plural: str) -> Resource:
        """The same, once what is served here is as new as the request. Raises StatusError NotFound."""
        if "." in group and self.served.find(group, version, plural) is None:
            # Another apiserver may have established its definition a moment ago.
            await self.reader.reached()
        return self.find(group, version, plural)


class Handler:
    """One user's calls."""

    def __init__(self, api: Api, user: User) -> None:
        self._api = api
        self._user = user

    async def call(self, request: Request) -> Response:
        """Answer one call. Raises StatusError."""
        resource = await self.resolve(request)
        response = await self._answer(resource, request)
        if resource.deprecation:
            response = replace(response, warnings=(*response.warnings, resource.deprecation))
        return response

    async def _answer(self, resource: Resource, request: Request) -> Response:
        match request.verb:
            case "get" | "list":
                return await self._read(resource, request)
            case "create" | "update" | "patch" | "delete" | "deletecollection":
                try:
                    response = await self._write(resource, request)
                    if resource.group == RBAC_GROUP:
                        await self._api.reader.settle(response.revision)
                    return response
                except RecursionError:  # Of any of the recursions over a body: decoding, merging, copying.
                    raise errors.bad_request("the body of the request exceeded max depth") from None
        raise errors.method_not_allowed()

    async def watch(self, request: Request) -> Watcher | ConvertedWatcher:
        """Open a watch. Raises StatusError."""
        resource = await self.resolve(request)
        if request.subresource:
            raise errors.method_not_allowed()
        watcher = await self._api.reader.watch(versions.stored_version(resource), request)
        return versions.convert_watch(resource, watcher)

    async def connect(self, request: Request, options: Document) -> list[str]:
        """Ask whether a request may be passed on to what runs; what to warn the client of. Raises StatusError."""
        resource = await self.resolve(request)
        call = Call(self._user, versions.stored_version(resource), replace(request, verb="connect"), resource)
        return await self._api.pipeline.connect(call, options)

    async def close(self) -> None:
        """Nothing is held."""

    async def resolve(self, request: Request) -> Resource:
        """The resource, once it is clear that the user may. Raises StatusError Forbidden, NotFound."""
        await self._api.authorize(authz.of_request(self._user, request), request.annotations)
        resource = await self._api.look_up(request.group, request.version, request.resource)
        if request.subresource and request.subresource not in resource.subresources:
            raise errors.unknown_path()
        if request.namespace and not resource.namespaced:
            raise errors.unknown_path()
        if not request.subresource and request.verb not in verbs_of(resource):
            raise errors.method_not_allowed()
        is_single = request.verb in ("get", "update", "patch", "delete") or request.subresource
        if is_single and not request.name:
            raise errors.method_not_allowed()
        if resource.namespaced and not request.namespace and is_single:
            raise errors.unknown_path()  # As upstream: only lists, watches and reviews go over all namespaces.
        if resource.namespaced and not request.namespace and request.verb == "create":
            raise errors.bad_request("an empty namespace may not be set during creation")
        return resource

    async def _read(self, resource: Resource, request: Request) -> Response:
        reader, stored = self._api.reader, versions.stored_version(resource)
        if request.verb == "list":
            return await versions.convert_answer(resource, await reader.list(stored, request))
        view = _view(resource, request.subresource)
        response = await reader.get(stored, request)
        if resource.custom:
            response = await versions.convert_answer(resource, response)
        if view.is_whole:
            return response
        return replace(response, body=_encode(view.read(msgspec.json.decode(response.body))))

    async def _write(self, resource: Resource, request: Request) -> Response:
        stored = versions.stored_version(resource)
        if self._user is SERVER and not request.user_agent:
            request = replace(request, user_agent="kube-apiserver")
        pipeline = self._api.pipeline
        call = Call(self._user, stored, request, resource, partial(self._may_create, request))
        options.check(request)
        name = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        if request.verb == "create" and (answer := self._api.answers.get((resource.group, name))):
            return await answer(call)
        if not resource.is_stored:
            raise errors.method_not_allowed()
        match request.verb, request.subresource:
            case "create", "":
                return await pipeline.create(call, _view(resource, ""))
            case "create", "binding":
                return await pipeline.bind(call)
            case "update", subresource:
                return await pipeline.update(call, _view(resource, subresource))
            case "patch", subresource:
                return await pipeline.patch(call, _view(resource, subresource))
            case "delete", "":
                return await versions.convert_answer(resource, await pipeline.delete(call))
            case "deletecollection", "":
                return await versions.convert_answer(resource, await self._delete_collection(stored, request))
        raise errors.method_not_allowed()

    async def _may_create(self, request: Request) -> None:
        await self._api.authorize(authz.of_request(self._user, replace(request, verb="create")))

    async def _delete_collection(self, resource: Resource, request: Request) -> Response:
        """Delete what a list finds, one by one; what is gone meanwhile is as good as deleted."""
        listed = await self._api.reader.list(resource, replace(request, body=b""))
        for item in msgspec.json.decode(listed.body)["items"]:
            single = replace(
                request, verb="delete", namespace=item["metadata"].get("namespace", ""), name=item["metadata"]["name"]
            )
            try:
                await self._api.pipeline.delete(Call(self._user, resource, single))
            except StatusError as error:
                if error.reason != "NotFound":
                    raise
        return listed if listed.revision else Response(_encode(success()))


_encode = msgspec.json.Encoder().encode
RBAC_GROUP = "rbac.authorization.k8s.io"

_VIEWS = {
    "": views.OBJECT,
    "approval": views.APPROVAL,
    "ephemeralcontainers": views.EPHEMERAL_CONTAINERS,
    "finalize": views.FINALIZE,
    "resize": views.RESIZE,
    "scale": views.SCALE,
    "status": views.STATUS,
}


def _view(resource: Resource, subresource: str) -> View:
    view = view_of(resource, subresource) if resource.custom else _VIEWS.get(subresource)
    if view is None:
        raise StatusError("MethodNotAllowed", f"{resource.plural}/{subresource} is not supported yet")
    return versions.shown_as(resource, view)
