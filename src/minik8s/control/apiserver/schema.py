"""Bytes to documents: what a client sent, checked against the types of its kind. (Thin: no type checks yet.)"""

import json
from typing import Any

import yaml

from minik8s.api.errors import bad_request
from minik8s.control.apiserver.resource import Document, Resource


def decode(body: bytes, content_type: str, resource: Resource, field_validation: str) -> tuple[Document, list[str]]:
    """The document in a body and the warnings about it."""
    try:
        tree = yaml.CSafeLoader(body).get_single_data() if "yaml" in content_type else json.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): {error}") from None
    if not isinstance(tree, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    return check(tree, resource, field_validation)


def check(document: Document, resource: Resource, field_validation: str = "Warn") -> tuple[Document, list[str]]:
    """The same for a tree."""
    pruned = _prune(document)
    pruned["apiVersion"], pruned["kind"] = resource.api_version, resource.kind
    pruned.setdefault("metadata", {})
    return pruned, []


def _prune(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _prune(value) for key, value in node.items() if value is not None}
    return [_prune(item) for item in node] if isinstance(node, list) else node
