"""A Python etcd client from PyPI (aetcd) works with the store."""

import asyncio
import io

import pytest
from store.serving import serving

from minik8s.store import backup

aetcd = pytest.importorskip("aetcd", reason="aetcd is not installed (scripts/setup installs it)")


async def keys(client) -> None:
    await client.put(b"a/1", b"one")
    await client.put(b"a/2", b"two")
    assert (await client.put(b"a/1", b"uno", prev_kv=True)).prev_kv.value == b"one"
    assert (await client.get(b"a/1")).value == b"uno"
    assert await client.get(b"absent") is None
    found = await client.get_prefix(b"a/", sort_order="descend")
    assert [kv.key for kv in found] == [b"a/2", b"a/1"]
    assert await client.replace(b"a/1", b"uno", b"eins")
    assert not await client.replace(b"a/1", b"uno", b"un")
    assert (await client.delete_prefix(b"a/")).deleted == 2


async def transactions(client) -> None:
    absent = client.transactions.version(b"t") == 0
    create = client.transactions.put(b"t", b"1")
    read = client.transactions.get(b"t")
    assert (await client.transaction(compare=[absent], success=[create], failure=[read]))[0]
    done, responses = await client.transaction(compare=[absent], success=[create], failure=[read])
    assert not done
    assert responses


async def leases(client) -> None:
    lease = await client.lease(60)
    await client.put(b"l", b"x", lease=lease)
    assert await lease.remaining_ttl() > 50
    assert list(await lease.keys()) == [b"l"]
    assert (await lease.refresh()).TTL == 60
    await lease.revoke()
    assert await client.get(b"l") is None


async def locks(client) -> None:
    async with client.lock(b"lock", ttl=30) as lock:
        assert await lock.is_acquired()
        other = client.lock(b"lock", ttl=30)
        assert not await other.acquire(timeout=0.3)


async def watches(client) -> None:
    watch = await client.watch_prefix(b"w/")

    async def collect() -> list[tuple[str, bytes]]:
        found = []
        async for event in watch:
            found.append((event.kind, event.kv.key))
            if len(found) == 3:
                return found
        return found

    collecting = asyncio.ensure_future(collect())
    await client.put(b"w/1", b"x")
    await client.put(b"other", b"x")
    await client.put(b"w/2", b"x")
    await client.delete(b"w/1")
    assert await asyncio.wait_for(collecting, 5) == [("PUT", b"w/1"), ("PUT", b"w/2"), ("DELETE", b"w/1")]
    await watch.cancel()


async def maintenance(client) -> None:
    assert (await client.status()).version == "3.6.4"
    assert [member.name async for member in client.members()] == ["local"]
    assert await client.hash() == await client.hash()
    await client.defragment()
    assert [alarm async for alarm in client.list_alarms()] == []
    [alarm] = await client.create_alarm(0xA1)
    with pytest.raises(Exception, match="space"):
        await client.put(b"full", b"")
    await client.disarm_alarm(alarm.member_id)
    await client.put(b"a", b"")
    saved = io.BytesIO()
    await client.snapshot(saved)
    saved.seek(0)
    assert backup.read(saved).space.mvcc.revision == 2


@pytest.mark.parametrize("session", [keys, transactions, leases, locks, watches, maintenance])
def test_aetcd_works(session):
    async def main() -> None:
        async with serving() as (_, address):
            host, _, port = address.partition(":")
            async with asyncio.timeout(15), aetcd.Client(host, int(port)) as client:
                await session(client)

    asyncio.run(main())
