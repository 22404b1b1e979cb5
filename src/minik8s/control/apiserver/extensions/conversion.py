"""Conversion of custom objects between the versions of their kind.

Called by `customkind` for what is read and written. Strategy None changes the apiVersion alone; a webhook is asked for
whole batches.
"""

from collections.abc import Sequence
from typing import Protocol

from minik8s.control.apiserver.resource import Document


class Converter(Protocol):
    """Makes documents of one kind ones of another version."""

    async def convert(self, documents: Sequence[Document], api_version: str) -> list[Document]:
        """Those documents in `api_version`, in their order. Raises StatusError."""


class Renaming:
    """Strategy None: all versions are alike but for their name."""

    async def convert(self, documents: Sequence[Document], api_version: str) -> list[Document]:
        """The same documents, with another apiVersion."""
        return [document | {"apiVersion": api_version} for document in documents]
