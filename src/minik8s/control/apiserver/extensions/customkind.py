"""Custom kinds: the Resources that a CustomResourceDefinition stands for.

Called by `definitions`, and by nobody else: once built they are Resources as any other. Building never fails for a
definition that was accepted; one that was not (written to the store by other means) serves nothing and is logged.
"""

from collections.abc import Sequence

from minik8s.api import errors
from minik8s.api.names import dns_subdomain_faults
from minik8s.control.apiserver.extensions import defaulting, pruning, structural
from minik8s.control.apiserver.extensions.conversion import Converter
from minik8s.control.apiserver.extensions.customobject import CustomObject
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Custom, Document, Resource
from minik8s.control.apiserver.resources.columns import AGE, NAME

_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def resources_of(definition: Document, converter: Converter) -> list[Resource]:
    """A Resource per version, the one that is stored first, served or not."""
    versions = sorted(definition["spec"]["versions"], key=lambda version: not version["storage"])
    return [_resource(definition, version, versions[0]["name"], converter) for version in versions]


def _resource(definition: Document, version: Document, storage_version: str, converter: Converter) -> Resource:
    spec = definition["spec"]
    names = definition.get("status", {}).get("acceptedNames") or spec["names"]
    node = structural.build((version.get("schema") or {}).get("openAPIV3Schema") or _OPEN)
    group, plural = spec["group"], spec["names"]["plural"]
    subresources = version.get("subresources") or {}
    return Resource(
        group=group,
        version=version["name"],
        kind=spec["names"]["kind"],
        plural=plural,
        namespaced=spec["scope"] == "Namespaced",
        model=CustomObject,
        storage_prefix=f"{group}/{plural}",
        singular=names.get("singular", ""),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status", "scale") if subresources.get(name) is not None),
        columns=(NAME, AGE),
        default=lambda document: defaulting.default(document, node),
        prepare_create=_prepare_create(definition, has_status=subresources.get("status") is not None),
        validate_name=_name_fault,
        custom=Custom(
            schema=node.schema,
            prune=lambda document, faults: pruning.prune(document, node, faults),
            read=_reader(f"{group}/{version['name']}", node, converter),
            write=_writer(f"{group}/{storage_version}", converter),
            stored_api_version=f"{group}/{storage_version}",
        ),
    )


def _reader(api_version: str, node: Node, converter: Converter):  # type: ignore[no-untyped-def]
    async def read(documents: Sequence[Document]) -> list[Document]:
        """As stored → as of this version: converted where it must be, pruned and with defaults, as upstream."""
        converted = list(documents)
        if strange := [index for index, each in enumerate(documents) if each["apiVersion"] != api_version]:
            made = await converter.convert([documents[index] for index in strange], api_version)
            for index, document in zip(strange, made, strict=True):
                converted[index] = document
        shown = [pruning.prune(document, node, []) for document in converted]
        for document in shown:
            defaulting.default(document, node)
        return shown

    return read


def _writer(api_version: str, converter: Converter):  # type: ignore[no-untyped-def]
    async def write(document: Document) -> Document:
        """As of this version → as it is stored."""
        if document["apiVersion"] == api_version:
            return document
        return (await converter.convert([document], api_version))[0]

    return write


def _prepare_create(definition: Document, *, has_status: bool):  # type: ignore[no-untyped-def]
    is_terminating = "deletionTimestamp" in definition["metadata"]

    def prepare(document: Document) -> None:
        if is_terminating:
            raise errors.StatusError(
                "MethodNotAllowed", "create not allowed while custom resource definition is terminating"
            )
        if has_status:
            document.pop("status", None)

    return prepare


def _name_fault(name: str) -> str | None:
    return "; ".join(dns_subdomain_faults(name)) or None
