"""A request as webhooks and policies see it: AdmissionRequest, in the version that was asked for."""

import copy
from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api.request import Request
from minik8s.control.apiserver import deletion, versions
from minik8s.control.apiserver.admission.attributes import Attributes
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.views import OBJECT, View

_OPTIONS_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_META = "meta.k8s.io/v1"
# Subresources whose object is of a kind of its own; it is shown as it was sent, and nobody changes it.
OTHER_KINDS = {
    "binding": {"group": "", "version": "v1", "kind": "Binding"},
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
    "attach": {"group": "", "version": "v1", "kind": "PodAttachOptions"},
    "exec": {"group": "", "version": "v1", "kind": "PodExecOptions"},
    "portforward": {"group": "", "version": "v1", "kind": "PodPortForwardOptions"},
    "proxy": {"group": "", "version": "v1", "kind": ""},  # PodProxyOptions, ServiceProxyOptions, NodeProxyOptions
    "token": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
}


@dataclass(slots=True)
class Shown:
    """A request shown in one version. `object` may be changed, and `restore` brings the changes back."""

    version: Resource
    view: View
    request: Document  # AdmissionRequest without uid, object and oldObject
    object: Document | None
    old: Document | None

    def whole(self) -> Document:
        """The AdmissionRequest with the objects in it."""
        whole = dict(self.request)
        if self.object is not None:
            whole["object"] = self.object
        if self.old is not None:
            whole["oldObject"] = self.old
        return whole


async def show(version: Resource, document: Document, attributes: Attributes) -> Shown:
    """The request in a version. Raises StatusError if the objects cannot be converted."""
    view = _view(version, attributes)
    asked = attributes.asked or attributes.resource
    request: Document = {
        "kind": _kind(version, view, attributes),
        "resource": _resource(version),
        "requestKind": _kind(asked, attributes.view, attributes),
        "requestResource": _resource(asked),
        "name": attributes.name,
        "operation": attributes.operation,
        "userInfo": _user(attributes),
        "dryRun": attributes.dry_run,
    }
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    elif attributes.resource.plural == "namespaces":
        request["namespace"] = attributes.name
    is_connect = attributes.operation == "CONNECT"
    if attributes.request is not None and not is_connect:
        request["options"] = _options(attributes.request)
    shown = None if is_connect or attributes.operation == "DELETE" else await _read(version, view, document, attributes)
    old = None if attributes.old is None else await _read(version, view, attributes.old, attributes)
    if is_connect:
        shown = copy.deepcopy(document)
    elif attributes.subresource in OTHER_KINDS and attributes.request is not None:
        shown, old = msgspec.json.decode(attributes.request.body), None
    return Shown(version, view, request, shown, old)


async def restore(shown: Shown, document: Document, attributes: Attributes) -> Document:
    """`document` with the changes made to `shown.object`. Raises StatusError if it cannot be converted."""
    assert shown.object is not None
    if attributes.resource.custom:
        return (await attributes.resource.custom.read([shown.object]))[0]
    return shown.view.write(document, shown.object)


async def _read(version: Resource, view: View, document: Document, attributes: Attributes) -> Document:
    if version.custom and version is not attributes.resource:
        return (await version.custom.read([document]))[0]
    return copy.deepcopy(view.read(document))


def _view(version: Resource, attributes: Attributes) -> View:
    if version is (attributes.asked or attributes.resource) or attributes.subresource == "scale":
        return attributes.view
    return versions.shown_as(version, OBJECT)


def _kind(version: Resource, view: View, attributes: Attributes) -> Document:
    if kind := OTHER_KINDS.get(attributes.subresource):
        return kind | {"kind": kind["kind"] or f"{version.kind}ProxyOptions"}
    shown = view.resource if view.resource is not None and attributes.subresource else version
    return {"group": shown.group, "version": shown.version, "kind": shown.kind}


def _resource(version: Resource) -> Document:
    return {"group": version.group, "version": version.version, "resource": version.plural}


def _user(attributes: Attributes) -> Document:
    user: Document = {"username": attributes.user_name, "groups": list(attributes.groups)}
    if attributes.uid:
        user["uid"] = attributes.uid
    if attributes.extra:
        user["extra"] = {name: list(values) for name, values in attributes.extra.items()}
    return user


def _options(request: Request) -> Document:
    """CreateOptions, UpdateOptions, PatchOptions or DeleteOptions."""
    if request.verb in ("delete", "deletecollection"):
        given: Any = msgspec.to_builtins(deletion.parse_options(request))
        found = {name: value for name, value in given.items() if value is not None and value != ""}
        return found | {"kind": "DeleteOptions", "apiVersion": _META}
    options: Document = {"kind": _OPTIONS_KINDS.get(request.verb, "CreateOptions"), "apiVersion": _META}
    for name in ("fieldManager", "fieldValidation"):
        if value := request.query.get(name):
            options[name] = value
    if request.query.get("dryRun"):
        options["dryRun"] = [request.query["dryRun"]]
    if "force" in request.query:
        options["force"] = request.query["force"] in ("1", "true")
    return options
