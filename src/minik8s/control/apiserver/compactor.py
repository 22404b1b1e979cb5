"""Forgets the store's history: every five minutes, what is older than five minutes. As kube-apiserver.

Several apiservers share the work through one key, whose version counts the rounds: who finds it unchanged since the
last round compacts, the others only look on.
"""

from asyncio import sleep

from minik8s.control.apiserver.storage import Store, StoreError
from minik8s.kit.log import get_logger
from minik8s.wire.etcd import rpc_pb2 as rpc

log = get_logger(__name__)

# Upstream's name, but below the prefix that the watch cache follows: were it outside, each round would leave the store
# at a revision that no change brings the cache to.
KEY = b"/registry/compact_rev_key"


class Compactor:
    """Compacts the store, in turns with other apiservers."""

    def __init__(self, store: Store, *, interval_s: float = 300.0) -> None:
        self._store = store
        self._interval_s = interval_s

    async def run(self) -> None:
        """Work until cancelled; an interval of 0 leaves the store's history to others."""
        version, revision = 0, 0
        while self._interval_s:
            await sleep(self._interval_s)
            try:
                version, revision = await self._round(version, revision)
            except StoreError as error:
                log.warning("compaction failed", error=str(error))

    async def _round(self, version: int, revision: int) -> tuple[int, int]:
        """Compact up to `revision`, the store's at the last round, if no other did. Returns both for the next round."""
        compare = rpc.Compare(key=KEY, target=rpc.Compare.VERSION, result=rpc.Compare.EQUAL, version=version)
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=KEY, value=str(revision).encode()))
        read = rpc.RequestOp(request_range=rpc.RangeRequest(key=KEY))
        answer = await self._store.txn(rpc.TxnRequest(compare=[compare], success=[put], failure=[read]))
        now = answer.header.revision
        if not answer.succeeded:
            found = answer.responses[0].response_range.kvs
            return (found[0].version if found else 0), now
        if revision:
            await self._store.compact(rpc.CompactionRequest(revision=revision))
            log.info("compacted", revision=revision)
        return version + 1, now
