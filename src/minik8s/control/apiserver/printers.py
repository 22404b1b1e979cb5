"""Tables: what kubectl prints of objects, as meta.k8s.io/v1 Table documents.

Called by the REST adapter for clients that accept `as=Table`. Columns and cells come from the Resource; what stands
here is the frame around them and the rule for what of the object rides along in each row.
"""

from collections.abc import Iterable
from typing import Any

from minik8s.control.apiserver.resource import Column, Document, Resource

API_VERSION = "meta.k8s.io/v1"


def table(
    resource: Resource,
    documents: Iterable[Document],
    *,
    now_s: float,
    include_object: str = "Metadata",
    list_meta: Document | None = None,
    columns: bool = True,
) -> Document:
    """A Table with one row per document.

    `include_object` is None, Metadata or Object, as the query parameter includeObject says. Without `columns` the
    definitions are left out, as watches do after the first event.
    """
    rows = []
    for document in documents:
        row: Document = {"cells": list(resource.row(document, now_s))}
        if include_object == "Metadata":
            row["object"] = partial(document)
        elif include_object == "Object":
            row["object"] = document
        rows.append(row)
    definitions = [_definition(column) for column in resource.columns] if columns else []
    return {
        "kind": "Table",
        "apiVersion": API_VERSION,
        "metadata": list_meta or {},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def partial(document: Document) -> Document:
    """The PartialObjectMetadata of a document."""
    return {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": document["metadata"]}


def partial_list(documents: Iterable[Document], list_meta: Document) -> Document:
    """The PartialObjectMetadataList of documents."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": API_VERSION,
        "metadata": list_meta,
        "items": [partial(document) for document in documents],
    }


def _definition(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }
