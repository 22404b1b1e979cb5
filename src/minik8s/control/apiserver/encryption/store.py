"""A Store whose values of chosen resources are sealed in the store below. Nobody above knows.

Put between the real store and all that use it by `server`. A value that no key opens fails the read of it, as
upstream. In the watch cache, which reads everything, it becomes `registry.UNREADABLE`: lists of its kind then fail, and
all else goes on.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from minik8s.api.errors import qualified
from minik8s.control.apiserver.encryption.ciphers import Unsealable
from minik8s.control.apiserver.encryption.keyring import Keyring
from minik8s.control.apiserver.registry import ROOT, ROOT_END, STALE_MARK, UNREADABLE
from minik8s.control.apiserver.resource import Resource
from minik8s.control.apiserver.storage import Store, StoreError, StoreWatch
from minik8s.kit.log import get_logger
from minik8s.wire.etcd import rpc_pb2 as rpc

log = get_logger(__name__)


class EncryptedStore:
    """Seals and opens what passes."""

    def __init__(self, store: Store, keyrings: Mapping[bytes, Keyring]) -> None:
        """`keyrings` by prefix of the store's keys."""
        self._store = store
        self._keyrings = dict(keyrings)
        self.close = store.close
        self.compact = store.compact
        self.lease_grant = store.lease_grant
        self.status = store.status

    async def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        response = await self._store.range(request)
        if not request.keys_only:
            is_everything = request.range_end == ROOT_END  # The cache is being filled.
            for kv in response.kvs:
                if is_everything:
                    self._try_to_open(kv)
                else:
                    self._open(kv)
        return response

    async def txn(self, request: rpc.TxnRequest) -> rpc.TxnResponse:
        sealed = rpc.TxnRequest()
        sealed.CopyFrom(request)
        for operation in (*sealed.success, *sealed.failure):
            if operation.HasField("request_put") and (keyring := self._keyring(operation.request_put.key)):
                put = operation.request_put
                put.value = keyring.seal(put.key, put.value)
        response = await self._store.txn(sealed)
        for answer in response.responses:
            if answer.HasField("response_range"):
                for kv in answer.response_range.kvs:
                    self._open(kv)
        return response

    def watch(self, request: rpc.WatchCreateRequest) -> StoreWatch:
        return _EncryptedWatch(self._store.watch(request), self)

    def open_events(self, response: rpc.WatchResponse) -> None:
        """Open the values of a watch's answer, in place. What no key opens is empty."""
        for event in response.events:
            self._try_to_open(event.kv)
            self._try_to_open(event.prev_kv)

    def _keyring(self, key: bytes) -> Keyring | None:
        return next((keyring for prefix, keyring in self._keyrings.items() if key.startswith(prefix)), None)

    def _try_to_open(self, kv: Any) -> None:
        try:
            self._open(kv)
        except StoreError as error:
            log.error("a value cannot be read", error=error.text)
            kv.value = UNREADABLE

    def _open(self, kv: Any) -> None:
        keyring = self._keyring(kv.key)
        if keyring is None or not kv.value:
            return
        try:
            opened = keyring.open(kv.key, kv.value)
        except Unsealable as error:
            text = f'unable to transform key "{kv.key.decode(errors="replace")}": {error}'
            raise StoreError("DATA_LOSS", text) from error
        kv.value = opened.value + STALE_MARK if opened.is_stale else opened.value


class _EncryptedWatch:
    def __init__(self, watch: StoreWatch, store: EncryptedStore) -> None:
        self._watch = watch
        self._store = store
        self.request_progress = watch.request_progress
        self.close = watch.close

    async def __aiter__(self) -> AsyncIterator[rpc.WatchResponse]:
        async for response in self._watch:
            self._store.open_events(response)
            yield response


def keyrings_by_prefix(keyrings: Mapping[str, Keyring], resources: Sequence[Resource]) -> dict[bytes, Keyring]:
    """Keyrings by prefix of the store's keys, from those by resource; wildcards (`*.apps`, `*.`, `*.*`) come last."""
    prefixes = {qualified(each.plural, each.group): each.storage_prefix for each in resources if each.storage_prefix}
    found = {}
    for name, keyring in keyrings.items():
        if not name.startswith("*"):
            plural, _, group = name.partition(".")
            found[ROOT + f"{prefixes.get(name, f'{group}/{plural}')}/".encode()] = keyring
    for name, keyring in keyrings.items():
        for each in resources:
            if name == "*.*" or name == f"*.{each.group}":
                found.setdefault(ROOT + f"{each.storage_prefix}/".encode(), keyring)
    return found
