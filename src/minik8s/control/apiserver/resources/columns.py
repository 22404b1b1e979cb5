"""Columns and cells that several kinds share."""

from typing import Any

from minik8s.control.apiserver.resource import Column, Document

NONE = "<none>"

NAME = Column("Name", format="name", description="The name of the object, unique among its kind in its namespace.")
AGE = Column("Age", description="How long ago the server created the object.")
CONTAINERS = Column("Containers", priority=1, description="Names of the containers in the template.")
IMAGES = Column("Images", priority=1, description="Images of the containers in the template.")
SELECTOR = Column("Selector", priority=1, description="Which pods belong to the object.")
CREATED_AT = Column("Created At", "date", description="When the server created the object.")


def created_row(document: Document, now_s: float) -> list[Any]:
    """The cells of NAME and CREATED_AT: what upstream prints of kinds it has no table for."""
    return [document["metadata"]["name"], document["metadata"].get("creationTimestamp", "")]


def template_cells(template: Document) -> list[Any]:
    """The cells of CONTAINERS and IMAGES."""
    containers = template.get("spec", {}).get("containers", ())
    names = ",".join(container["name"] for container in containers)
    return [names, ",".join(container.get("image", "") for container in containers)]


def limited(items: list[str], limit: int = 3) -> str:
    """The first few, and how many there are beyond."""
    shown = ",".join(items[:limit])
    if len(items) > limit:
        return f"{shown} + {len(items) - limit} more..."
    return shown or "<unset>"
