"""A small custom kind, and short ways to speak to the API about it."""

import asyncio
from typing import Any

import msgspec

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, Request

CRDS = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")
GADGETS = ("example.com", "v1", "gadgets")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 1},
                "color": {"type": "string", "default": "red", "enum": ["red", "green"]},
                "size": {"x-kubernetes-int-or-string": True},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}


def version(name: str = "v1", **extra: Any) -> dict[str, Any]:
    """A version of a definition; the one that is stored unless told otherwise."""
    return {"name": name, "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}} | extra


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """The definition of gadgets.example.com."""
    names = {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "names": names,
            "scope": "Namespaced",
            "versions": list(versions) or [version()],
        }
        | spec,
    }


def gadget(name: str, api_version: str = "example.com/v1", **spec: Any) -> dict[str, Any]:
    """A Gadget."""
    return {"apiVersion": api_version, "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


async def call(
    handler: Any,
    verb: str,
    place: tuple[str, str, str],
    *,
    document: Any = None,
    content_type: str = JSON,
    query: dict[str, str] | None = None,
    **where: str,
) -> dict[str, Any]:
    """One call; its answer as a tree."""
    body = msgspec.json.encode(document) if document is not None else b""
    request = Request(verb, *place, query=query or {}, body=body, content_type=content_type, **where)
    answer: dict[str, Any] = msgspec.json.decode((await handler.call(request)).body)
    return answer


async def define(handler: Any, document: dict[str, Any] | None = None) -> dict[str, Any]:
    """Create a definition and wait until its kind is served here."""
    made = await call(handler, "create", CRDS, document=document or definition())
    return await established(handler, made["metadata"]["name"])


async def established(handler: Any, name: str) -> dict[str, Any]:
    """The definition once it is established and served here."""
    async with asyncio.timeout(5):
        while True:
            found = await call(handler, "get", CRDS, name=name)
            conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions") or ()}
            if conditions.get("Established") == "True":
                spec = found["spec"]
                versions = [each["name"] for each in spec["versions"] if each["served"]]
                try:
                    await call(handler, "list", (spec["group"], versions[0], spec["names"]["plural"]))
                    return found
                except StatusError as error:
                    assert error.reason == "NotFound", error
            await asyncio.sleep(0.005)
