"""Objects in the store: keys, encoding, optimistic writes, and what becomes of a write whose outcome is unknown.

Called by `pipeline`, `reads` and `watchcache`; calls `storage`.

Keys are upstream's: /registry/PREFIX/NAMESPACE/NAME. A value is the object's JSON with a slot at
metadata.resourceVersion, whose value (the etcd revision) nobody knows before the commit. Until the revision is spliced
in on reading, the slot holds a random write id, which makes the bytes of every write unique: that is how a write whose
answer was lost is recognised when it is read back.

Unknown outcomes. An update or delete is guarded by the revision it replaces, which can hold only once, so sending it
again is safe and tells. A create is guarded by absence, which can hold again (created, deleted, created), so it is
never sent twice: the key is read until our bytes show up. What stays unproven is 504 Timeout, never success or failure.
"""

import asyncio
import random
from asyncio import sleep
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.resource import Document, Resource
from minik8s.control.apiserver.storage import Store, StoreError
from minik8s.kit.backoff import Backoff
from minik8s.wire.etcd import rpc_pb2 as rpc

ROOT = b"/registry/"
ROOT_END = b"/registry0"
STALE_MARK = b" "  # ends a value that would be sealed by another key if it were written now; JSON does not mind
UNREADABLE = b"unreadable"  # what a watch of the store tells of a value that no key opens
CLAIMS = "ranges/"  # below ROOT: one key per address or port that an object holds, as upstream's allocators

_SLOT = b'"resourceVersion":"'
_WRITE_ID_HEX_DIGITS = 16
_METADATA_FIRST = ("name", "generateName", "namespace", "uid", "resourceVersion")
_ROOT_FIRST = ("kind", "apiVersion", "metadata")

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


def key_of(resource: Resource, namespace: str, name: str) -> bytes:
    """The store's key of an object."""
    path = f"{namespace}/{name}" if resource.namespaced else name
    return ROOT + f"{resource.storage_prefix}/{path}".encode()


def prefix_of(resource: Resource, namespace: str = "") -> bytes:
    """The prefix of a kind's keys, of one namespace if given."""
    return ROOT + f"{resource.storage_prefix}/{namespace}{'/' if namespace else ''}".encode()


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of a prefix (which ends in a slash, so never in 0xff)."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def encode(document: Document, write_id: str) -> bytes:
    """A document as it is stored: the fields clients look at first, and `write_id` in the slot."""
    metadata = dict(document["metadata"]) | {"resourceVersion": write_id}
    metadata = _first(metadata, _METADATA_FIRST)
    return _encode_json(_first(dict(document) | {"metadata": metadata}, _ROOT_FIRST))


def splice(value: bytes, revision: int) -> bytes:
    """`value` with `revision` as its metadata.resourceVersion. Raises ValueError if it is no value of ours.

    The first occurrence is the slot: in any string before it the quotes would be escaped.
    """
    start = value.index(_SLOT) + len(_SLOT)
    return b"%b%d%b" % (value[:start], revision, value[value.index(b'"', start) :])


def _first(mapping: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: mapping[name] for name in names if name in mapping} | mapping


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as read from the store or just written to it."""

    key: bytes
    value: bytes  # with the write id in its slot
    revision: int  # of its last write
    created: int  # revision of its creation
    version: int  # writes since its creation
    is_current: bool = True  # whether it would be stored in the same version, by the same key, today

    @property
    def body(self) -> bytes:
        """Its JSON, with resourceVersion."""
        return splice(self.value, self.revision)

    def document(self) -> Document:
        """A fresh tree of it, with resourceVersion."""
        return _decode_json(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a range at one revision."""

    items: list[Stored]
    revision: int  # the one asked for, or the store's when it was read
    remaining: int  # keys after this page


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Another object that a write replaces in its own transaction, if it is still at `revision`."""

    key: bytes
    revision: int
    document: Document


class Overtaken(Exception):
    """What a write would replace beside its object has changed."""


class Superseded(Exception):
    """A guarded write found another object than it expected; `current` is None if it is gone."""

    def __init__(self, current: Stored | None) -> None:
        super().__init__("superseded")
        self.current = current


class ClaimTaken(Exception):
    """A write would claim what another object holds; `names` are those claims."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"already claimed: {', '.join(names)}")
        self.names = tuple(names)


class Registry:
    """Reads and optimistic writes. All methods raise StatusError for what the store cannot do."""

    def __init__(
        self, store: Store, *, rng: random.Random, settle_timeout_s: float = 8.0, look_timeout_s: float = 3.0
    ) -> None:
        self.store = store
        self._rng = rng
        self._settle_timeout_s = settle_timeout_s  # how long an unanswered update or deletion is sent again
        self._look_timeout_s = look_timeout_s  # how long an unanswered creation is looked for

    async def get(self, key: bytes) -> Stored | None:
        """The object now, linearizably; None if absent."""
        response = await self._range(rpc.RangeRequest(key=key, limit=1))
        return _stored(response.kvs[0]) if response.kvs else None

    async def page(self, prefix: bytes, *, start: bytes = b"", limit: int = 0, revision: int = 0) -> Page:
        """Objects below `prefix` from the key `start` on, at `revision` (0: now). Raises StatusError Expired."""
        response = await self._range(
            rpc.RangeRequest(key=start or prefix, range_end=prefix_end(prefix), limit=limit, revision=revision)
        )
        items = [_stored(kv) for kv in response.kvs]
        return Page(items, revision or response.header.revision, response.count - len(items))

    async def current_revision(self) -> int:
        """The store's revision, linearizably: every write answered before this call is at or below it."""
        # As kube-apiserver: any read will do, as only the header is looked at.
        response = await self._range(rpc.RangeRequest(key=ROOT, limit=1, keys_only=True))
        return response.header.revision

    async def create(
        self,
        key: bytes,
        document: Document,
        *,
        lease: int = 0,
        claims: Iterable[str] = (),
        beside: Sequence[Rewrite] = (),
    ) -> Stored:
        """The object after its creation. Raises Superseded with the one that is there, ClaimTaken, Overtaken."""
        value = self._encode(document)
        claims = tuple(claims)
        txn = self._with(beside, _txn(key, 0, put=value, lease=lease, claims=claims))
        try:
            response = await self.store.txn(txn)
        except StoreError as error:
            if not error.is_outcome_unknown:
                raise status_error(error) from error
            return await self._look_for(key, value, error)
        if response.succeeded:
            return Stored(key, value, response.header.revision, response.header.revision, 1)
        raise _refusal(response, claims, expected=None)

    async def create_all(self, documents: Mapping[bytes, Document]) -> bool:
        """Create objects (at most 128) by their keys in one transaction; False, and none is made, if any is there.

        Not sent again when its outcome is unknown: that is a StatusError, and whoever repeats it finds out.
        """
        puts = [rpc.PutRequest(key=key, value=self._encode(document)) for key, document in documents.items()]
        txn = rpc.TxnRequest(
            compare=[_is_at(key, 0) for key in documents], success=[rpc.RequestOp(request_put=put) for put in puts]
        )
        try:
            return bool((await self.store.txn(txn)).succeeded)
        except StoreError as error:
            raise status_error(error) from error

    async def update(
        self,
        old: Stored,
        document: Document,
        *,
        lease: int = 0,
        claims: Iterable[str] = (),
        releases: Iterable[str] = (),
        beside: Sequence[Rewrite] = (),
    ) -> Stored:
        """The object after replacing `old`. Raises Superseded, ClaimTaken, Overtaken."""
        value = self._encode(document)
        claims = tuple(claims)
        txn = _txn(old.key, old.revision, put=value, lease=lease, claims=claims, releases=releases)
        txn = self._with(beside, txn)
        response, repeated = await self._repeat(txn)
        if response.succeeded:
            return Stored(old.key, value, response.header.revision, old.created, old.version + 1)
        current = _current(response)
        if repeated:
            if current and current.value == value:
                return current
            if not (current and current.created == old.created and current.version == old.version + 1):
                # More than one write since `old`: ours may have been one of them.
                raise errors.timeout("the store did not say whether the write happened")
        raise _refusal(response, claims, expected=old)

    async def delete(self, old: Stored, *, releases: Iterable[str] = ()) -> int:
        """The revision of the deletion of `old`. Raises Superseded."""
        response, repeated = await self._repeat(_txn(old.key, old.revision, put=None, releases=releases))
        if response.succeeded:
            return response.header.revision
        current = _current(response)
        if repeated and current is None:
            return response.header.revision  # This object is gone, which is what was asked for.
        raise Superseded(current)

    def _with(self, beside: Sequence[Rewrite], txn: rpc.TxnRequest) -> rpc.TxnRequest:
        """The transaction, with other objects replaced in it."""
        for each in beside:
            txn.compare.append(_is_at(each.key, each.revision))
            put = rpc.PutRequest(key=each.key, value=self._encode(each.document))
            txn.success.append(rpc.RequestOp(request_put=put))
        return txn

    def _encode(self, document: Document) -> bytes:
        return encode(document, f"{self._rng.getrandbits(4 * _WRITE_ID_HEX_DIGITS):0{_WRITE_ID_HEX_DIGITS}x}")

    async def _range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        try:
            return await self.store.range(request)
        except StoreError as error:
            raise status_error(error) from error

    async def _repeat(self, txn: rpc.TxnRequest) -> tuple[rpc.TxnResponse, bool]:
        """The answer to a transaction whose guard can hold only once, and whether it took more than one attempt."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._settle_timeout_s
        backoff = Backoff(self._rng)
        repeated = False
        while True:
            try:
                return await self.store.txn(txn), repeated
            except StoreError as error:
                if not error.is_outcome_unknown:
                    raise status_error(error) from error
                if loop.time() > deadline_s:
                    raise errors.timeout(f"the store did not say whether the write happened: {error.text}") from error
            repeated = True
            await sleep(backoff.next_s())

    async def _look_for(self, key: bytes, value: bytes, cause: StoreError) -> Stored:
        """The object if its creation turns out to have happened."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._look_timeout_s
        backoff = Backoff(self._rng)
        while loop.time() < deadline_s:
            try:
                response = await self.store.range(rpc.RangeRequest(key=key, limit=1))
            except StoreError as error:
                cause = error
            else:
                if response.kvs and response.kvs[0].value == value:
                    return _stored(response.kvs[0])
                if response.kvs:
                    break  # Another object: ours never was, or was and is gone.
            await sleep(backoff.next_s())
        raise errors.timeout(f"the store did not say whether the write happened: {cause.text}") from cause


def _txn(
    key: bytes,
    revision: int,
    *,
    put: bytes | None,
    lease: int = 0,
    claims: Sequence[str] = (),
    releases: Iterable[str] = (),
) -> rpc.TxnRequest:
    """If the key is still at `revision` and the claims are free: put (None: delete). Else: read them all."""
    claim_keys = [_claim_key(claim) for claim in claims]
    compares = [_is_at(key, revision), *(_is_at(claim, 0) for claim in claim_keys)]
    if put is None:
        success = [rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key))]
    else:
        success = [rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=put, lease=lease))]
    success += [rpc.RequestOp(request_put=rpc.PutRequest(key=claim, value=key)) for claim in claim_keys]
    success += [rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=_claim_key(claim))) for claim in releases]
    failure = [rpc.RequestOp(request_range=rpc.RangeRequest(key=each)) for each in (key, *claim_keys)]
    return rpc.TxnRequest(compare=compares, success=success, failure=failure)


def _is_at(key: bytes, revision: int) -> rpc.Compare:
    return rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision)


def _claim_key(claim: str) -> bytes:
    return ROOT + f"{CLAIMS}{claim}".encode()


def _current(response: rpc.TxnResponse) -> Stored | None:
    found = response.responses[0].response_range.kvs
    return _stored(found[0]) if found else None


def _refusal(response: rpc.TxnResponse, claims: Sequence[str], expected: Stored | None) -> Exception:
    """Why a transaction's guard failed: the object itself, or else its claims, or else what was beside it."""
    current = _current(response)
    if (current and current.revision) == (expected and expected.revision):
        answers = zip(claims, response.responses[1:], strict=True)
        taken = [claim for claim, answer in answers if answer.response_range.kvs]
        return ClaimTaken(taken) if taken else Overtaken()
    return Superseded(current)


def _stored(kv: Any) -> Stored:
    is_current = not kv.value.endswith(STALE_MARK)
    return Stored(kv.key, kv.value, kv.mod_revision, kv.create_revision, kv.version, is_current)


def status_error(error: StoreError) -> StatusError:
    """What a client is told of a failure of the store that leaves nothing unknown."""
    if error.is_compacted:
        return errors.expired("The resourceVersion for the provided list is too old.")
    if error.code == "OUT_OF_RANGE":
        return errors.timeout("Too large resource version")
    if "request is too large" in error.text:
        return StatusError("RequestEntityTooLarge", error.text)
    if error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED"):
        # Without Retry-After: the time for trying again was spent here; kubectl would silently try ten times more.
        return errors.service_unavailable(f"the store is not available: {error.text}", retry_after_s=0)
    return errors.internal(f"{error.code}: {error.text}")
