"""Custom kinds: the Resources that a CustomResourceDefinition stands for.

Called by `definitions`, and by nobody else: once built they are Resources as any other. Building never fails for a
definition that was accepted; one that was not (written to the store by other means) serves nothing and is logged.
"""

from collections.abc import Awaitable, Callable, Sequence

from minik8s.api import errors
from minik8s.api.names import dns_subdomain_faults
from minik8s.control.apiserver.extensions import defaulting, jsonpath, pruning, structural
from minik8s.control.apiserver.extensions.conversion import Converter
from minik8s.control.apiserver.extensions.customcheck import Checks
from minik8s.control.apiserver.extensions.customcolumns import columns_of, row_of
from minik8s.control.apiserver.extensions.customobject import CustomObject
from minik8s.control.apiserver.extensions.structural import Node
from minik8s.control.apiserver.resource import Custom, Document, Resource
from minik8s.control.apiserver.served import version_order

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
    has_status = subresources.get("status") is not None
    columns = version.get("additionalPrinterColumns") or ()
    selectable = _selectable(spec["versions"])
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
        columns=columns_of(columns),
        row=row_of(columns),
        default=lambda document: defaulting.default(document, node),
        prepare_create=_prepare_create(definition, has_status=has_status),
        prepare_update=_keep_nothing if has_status else _count_status,
        fields=lambda document: {path: _field(document, path) for path in selectable},
        field_names=selectable,
        validate_name=_name_fault,
        custom=Custom(
            schema=node.schema,
            prune=lambda document, faults: pruning.prune(document, node, faults),
            read=_reader(f"{group}/{version['name']}", node, converter),
            write=_writer(f"{group}/{storage_version}", converter),
            stored_api_version=f"{group}/{storage_version}",
            validate=Checks(node).causes,
            scale=subresources.get("scale"),
            deprecation=_deprecation(spec, version),
        ),
    )


def _selectable(versions: Sequence[Document]) -> tuple[str, ...]:
    """The fields lists can be selected by, of all versions: objects are cached as they are stored."""
    paths = (each["jsonPath"] for version in versions for each in version.get("selectableFields") or ())
    return tuple(dict.fromkeys(path.removeprefix(".") for path in paths))


def _field(document: Document, path: str) -> str:
    found = jsonpath.find(document, f".{path}")
    value = found[0] if found else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _deprecation(spec: Document, version: Document) -> str:
    """The warning of a version that is on its way out; upstream's words unless the definition has its own."""
    if not version.get("deprecated"):
        return ""
    if warning := version.get("deprecationWarning"):
        return str(warning)
    kind, group = spec["names"]["kind"], spec["group"]
    better = [
        each["name"]
        for each in sorted(spec["versions"], key=lambda each: version_order(each["name"]))
        if each["served"]
        and not each.get("deprecated")
        and version_order(each["name"]) < version_order(version["name"])
    ]
    instead = f"; use {group}/{better[0]} {kind}" if better else ""
    return f"{group}/{version['name']} {kind} is deprecated{instead}"


def _keep_nothing(new: Document, old: Document) -> None:
    """The pipeline keeps status and counts generations of kinds that have a status."""


def _count_status(new: Document, old: Document) -> None:
    """Without a status of its own, what is called status is as much asked for as the rest."""
    wanted, had = (
        {name: value for name, value in each.items() if name not in ("metadata", "status")} for each in (new, old)
    )
    if wanted == had and new.get("status") != old.get("status") and "generation" in old["metadata"]:
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def _reader(
    api_version: str, node: Node, converter: Converter
) -> Callable[[Sequence[Document]], Awaitable[list[Document]]]:
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


def _writer(api_version: str, converter: Converter) -> Callable[[Document], Awaitable[Document]]:
    async def write(document: Document) -> Document:
        """As of this version → as it is stored."""
        if document["apiVersion"] == api_version:
            return document
        return (await converter.convert([document], api_version))[0]

    return write


def _prepare_create(definition: Document, *, has_status: bool) -> Callable[[Document], None]:
    is_terminating = "deletionTimestamp" in definition["metadata"]

    def prepare(document: Document) -> None:
        if is_terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise errors.StatusError("MethodNotAllowed", why)
        if has_status:
            document.pop("status", None)

    return prepare


def _name_fault(name: str) -> str | None:
    return "; ".join(dns_subdomain_faults(name)) or None
