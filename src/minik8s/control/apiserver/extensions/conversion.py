"""Conversion of custom objects between the versions of their kind.

Called by `customkind` for what is read and written. Strategy None changes the apiVersion alone. A webhook is asked for
whole batches with a ConversionReview, as k8s.io/apiextensions-apiserver/pkg/apiserver/conversion; of metadata it may
change labels and annotations, and nothing else it says of it counts.
"""

import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from minik8s.api.errors import StatusError
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.webhook_client import WebhookClient, WebhookFailed
from minik8s.kit import ids

TIMEOUT_S = 30.0
_ITS_OWN = ("labels", "annotations")  # of metadata: what a webhook may change


class Converter(Protocol):
    """Makes documents of one kind ones of another version."""

    async def convert(self, documents: Sequence[Document], api_version: str) -> list[Document]:
        """Those documents in `api_version`, in their order. Raises StatusError."""


class Renaming:
    """Strategy None: all versions are alike but for their name."""

    async def convert(self, documents: Sequence[Document], api_version: str) -> list[Document]:
        """The same documents, with another apiVersion."""
        return [document | {"apiVersion": api_version} for document in documents]


class Webhook:
    """Strategy Webhook: somebody else knows how. Raises StatusError with upstream's text for each way it can fail."""

    def __init__(self, definition: Document, client: WebhookClient, rng: random.Random) -> None:
        webhook = definition["spec"]["conversion"]["webhook"]
        self._client_config: Document = webhook["clientConfig"]
        known = [version for version in webhook["conversionReviewVersions"] if version in ("v1", "v1beta1")]
        self._review_version = f"apiextensions.k8s.io/{known[0]}"
        self._kind: str = definition["spec"]["names"]["kind"]
        self._client = client
        self._rng = rng

    async def convert(self, documents: Sequence[Document], api_version: str) -> list[Document]:
        """As `Converter.convert`."""
        uid = ids.new_uuid(self._rng)
        request = {"uid": uid, "desiredAPIVersion": api_version, "objects": list(documents)}
        review = {"kind": "ConversionReview", "apiVersion": self._review_version, "request": request}
        asked = f"conversion webhook for {documents[0]['apiVersion']}, Kind={self._kind}"
        try:
            body = await self._client.post(self._client_config, msgspec.json.encode(review), timeout_s=TIMEOUT_S)
            converted = self._answer(body, uid)
        except (WebhookFailed, msgspec.DecodeError) as error:
            raise _failure(f"{asked} failed: {error}") from error
        if len(converted) != len(documents):
            raise _failure(f"{asked} returned {len(converted)} objects, expected {len(documents)}")
        made = []
        for index, (given, document) in enumerate(zip(documents, converted, strict=True)):
            if fault := _fault(given, document, api_version):
                raise _failure(f"{asked} returned invalid converted object at index {index}: {fault}")
            made.append(document | {"metadata": _metadata(given, document)})
        return made

    def _answer(self, body: bytes, uid: str) -> list[Any]:
        """The objects in an answer. Raises WebhookFailed."""
        review = msgspec.json.decode(body)
        if not isinstance(review, dict) or review.get("kind") != "ConversionReview":
            raise WebhookFailed("expected response.kind=ConversionReview")
        if review.get("apiVersion") != self._review_version:
            raise WebhookFailed(f"expected response.apiVersion={self._review_version}")
        response = review.get("response")
        if not isinstance(response, dict):
            raise WebhookFailed("no response provided")
        if response.get("uid") != uid:
            raise WebhookFailed(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
        result = response.get("result")
        if not isinstance(result, dict) or result.get("status") != "Success":
            message = result.get("message") if isinstance(result, dict) else None
            raise WebhookFailed(str(message) if message else "response.result.status was not Success")
        objects = response.get("convertedObjects")
        return objects if isinstance(objects, list) else []


def _fault(given: Document, made: Any, api_version: str) -> str | None:
    """What is wrong with what a webhook made of an object."""
    if not isinstance(made, dict) or not isinstance(made.get("metadata"), dict):
        return "it is no object"
    if made.get("apiVersion") != api_version:
        return f"invalid groupVersion ({made.get('apiVersion')}) found in converted object, expected {api_version}"
    if made.get("kind") != given["kind"]:
        return f"must have the same kind: {made.get('kind')} != {given['kind']}"
    for name in ("name", "namespace", "uid"):
        if made["metadata"].get(name, "") != given["metadata"].get(name, ""):
            return f"must have the same {name}: {made['metadata'].get(name, '')} != {given['metadata'].get(name, '')}"
    for name in _ITS_OWN:
        values = made["metadata"].get(name) or {}
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            return f"metadata.{name} is no map of strings"
    return None


def _metadata(given: Document, made: Document) -> Document:
    """The metadata of a converted object."""
    metadata = {name: value for name, value in given["metadata"].items() if name not in _ITS_OWN}
    return metadata | {name: made["metadata"][name] for name in _ITS_OWN if made["metadata"].get(name)}


def _failure(message: str) -> StatusError:
    return StatusError("", message, code=500)
