"""Objects of any kind by their metadata alone: for what must serve every kind (garbage collector, namespace deletion).

`metadata_kind` makes a Kind whose model is PartialObject, so Client and Informer work for it as for any other. Writes
are patches and deletes; the one replacement, `finalize`, sends back the whole document as it was read.
"""

from typing import Any

import msgspec

from minik8s.api.kind import Kind
from minik8s.api.meta_v1 import ObjectMeta
from minik8s.api.request import Request
from minik8s.client.client import Client


class PartialObject(msgspec.Struct, omit_defaults=True):
    """What every object has."""

    metadata: ObjectMeta
    apiVersion: str = ""
    kind: str = ""


def metadata_kind(kind: Kind[Any]) -> Kind[PartialObject]:
    """The same place in the API, read as PartialObject."""
    return Kind(PartialObject, kind.group, kind.version, kind.plural, kind.namespaced)


async def delete_collection(client: Client, kind: Kind[Any], *, namespace: str) -> None:
    """Begin the deletion of all objects of a kind in a namespace."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    body = msgspec.json.encode(options)
    request = Request("deletecollection", kind.group, kind.version, kind.plural, namespace, body=body)
    await client.transport.call(request)


async def finalize(client: Client, kind: Kind[Any], name: str, *, uid: str, finalizer: str) -> int:
    """Take `finalizer` out of spec.finalizers, where only namespaces have them; the revision.

    0 if the name is another object's by now. Raises StatusError NotFound, Conflict.
    """
    place = (kind.group, kind.version, kind.plural, "", name)
    document = msgspec.json.decode((await client.transport.call(Request("get", *place))).body)
    if document["metadata"]["uid"] != uid:
        return 0
    spec = document.get("spec") or {}
    spec["finalizers"] = [one for one in spec.get("finalizers") or () if one != finalizer]
    document["spec"] = spec
    request = Request("update", *place, subresource="finalize", body=msgspec.json.encode(document))
    return (await client.transport.call(request)).revision
