"""What a write must pass before it is made: the admission chain, the rules of its kind, the quotas.

Called by `pipeline` for every write and by `eviction`; calls the plugins and the Resource's hooks.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from minik8s.api import errors
from minik8s.control.apiserver import managedfields, metadata
from minik8s.control.apiserver.admission.attributes import Attributes, Plugin, Reader
from minik8s.control.apiserver.admission.resource_quota import ResourceQuota
from minik8s.control.apiserver.call import Call
from minik8s.control.apiserver.registry import Rewrite
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.views import OBJECT, View

_SPOILT = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
    "admission controller; please fix your requests"
)


SPEC_ALONE = frozenset(("Pod", "ReplicaSet", "Deployment", "DaemonSet", "StatefulSet"))
"""Kinds whose validation looks at nothing but their spec."""


def is_judged(resource: Resource, document: Document, old: Document | None) -> bool:
    """Whether validation could only say of a document again what it said of the old one: a status says nothing new."""
    return old is not None and resource.kind in SPEC_ALONE and document.get("spec") == old.get("spec")


class Gate:
    """Admission and validation of one apiserver."""

    def __init__(self, chain: Sequence[Plugin], reader: Reader, *, quota: ResourceQuota | None = None) -> None:
        self._chain = tuple(chain)
        self._reader = reader
        self._quota = quota

    async def admit(self, call: Call, document: Document, old: Document | None, view: View) -> list[str]:
        """Run admission and validation; what to warn the client of. Raises StatusError Forbidden, Invalid."""
        attributes = self._attributes(call, document["metadata"].get("name", ""), old, view)
        owned = document["metadata"].get("managedFields")
        with attributes.telling():
            for plugin in self._chain:
                await plugin.mutate(document, attributes)
            if document["metadata"].get("managedFields") != owned:
                self._keep_owned(document, owned, attributes)
            metadata.drop_empty(document)
            resource = call.resource
            if old is None:
                resource.prepare_create(document)  # Once more: what follows from the spec (QoS) follows from this one.
            causes = metadata.faults(resource, document, old)
            if resource.custom:
                causes += resource.custom.validate(document, old)
            elif not is_judged(resource, document, old):
                causes += resource.validate(document)
            if old is not None and call.request.subresource != "binding":  # A binding changes what no update may.
                causes += (view.validate_update or resource.validate_update)(document, old)
            elif old is None:
                causes += resource.validate_create(document)
            if causes:
                raise errors.invalid(resource.kind, resource.group, document["metadata"].get("name", ""), causes)
            for plugin in self._chain:
                await plugin.validate(document, attributes)
        return attributes.warnings

    def _keep_owned(self, document: Document, owned: Any, attributes: Attributes) -> None:
        """Plugins that know nothing of managedFields leave them as they were."""
        if managedfields.read(document["metadata"].get("managedFields")) is None:
            document["metadata"].pop("managedFields", None)
            if owned:
                document["metadata"]["managedFields"] = owned
            attributes.warn(_SPOILT)

    def charge(
        self, call: Call, document: Document, old: Document | None, view: View
    ) -> contextlib.AbstractAsyncContextManager[Sequence[Rewrite]]:
        """What quotas come to when the write is made, within the block. Raises StatusError Forbidden."""
        if self._quota is None:
            return contextlib.nullcontext(())
        return self._quota.charge(document, self._attributes(call, document["metadata"].get("name", ""), old, view))

    async def admit_other(self, call: Call, document: Document) -> list[str]:
        """Run admission on what is no object, such as an Eviction; what to warn the client of."""
        attributes = self._attributes(call, call.request.name, None, OBJECT)
        with attributes.telling():
            for plugin in self._chain:
                await plugin.mutate(document, attributes)
            for plugin in self._chain:
                await plugin.validate(document, attributes)
        return attributes.warnings

    async def admit_connect(self, call: Call, options: Document) -> list[str]:
        """Run admission on a request that is passed on; what to warn the client of. Raises StatusError Forbidden."""
        attributes = self._attributes(call, call.request.name, None, OBJECT)
        concerned = [plugin for plugin in self._chain if plugin.handles_connect]
        with attributes.telling():
            for plugin in concerned:
                await plugin.mutate(options, attributes)
            for plugin in concerned:
                await plugin.validate(options, attributes)
        return attributes.warnings

    async def admit_delete(self, call: Call, old: Document) -> list[str]:
        """Run admission on a deletion; what to warn the client of."""
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
