"""Stock etcdctl works against every replica of a three-member store, over TLS."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from store.replicas import Replicas

from conformance.etcd.processes import etcdctl, etcdctl_json, needs_etcdctl, start_etcdctl

pytestmark = [pytest.mark.slow, needs_etcdctl]

Ctl = Callable[..., Awaitable[str]]


async def put_get_del(ctl: Ctl, at: str) -> None:
    assert await ctl("put", f"{at}/a", "1") == "OK\n"
    assert await ctl("put", f"{at}/b", "2", "--prev-kv") == "OK\n"
    assert await ctl("put", f"{at}/a", "3", "--prev-kv") == f"OK\n{at}/a\n1\n"
    assert await ctl("get", f"{at}/", "--prefix") == f"{at}/a\n3\n{at}/b\n2\n"
    assert await ctl("get", f"{at}/", "--prefix", "--order=DESCEND", "--keys-only") == f"{at}/b\n\n{at}/a\n\n"
    assert await ctl("get", f"{at}/", "--prefix", "--limit=1", "--print-value-only") == "3\n"
    assert await ctl("get", f"{at}/a", "--consistency=s") == f"{at}/a\n3\n"
    assert await ctl("del", f"{at}/", "--prefix") == "2\n"
    assert await ctl("get", f"{at}/", "--prefix") == ""


async def txn(ctl: Ctl, at: str) -> None:
    await ctl("put", f"{at}/t", "1")
    script = f'value("{at}/t") = "1"\n\nput {at}/t 2\nget {at}/t\n\nget {at}/t\n\n'
    assert await ctl("txn", stdin=script) == f"SUCCESS\n\nOK\n\n{at}/t\n2\n"
    assert await ctl("txn", stdin=script) == f"FAILURE\n\n{at}/t\n2\n"


async def lease(ctl: Ctl, at: str) -> None:
    granted = await ctl("lease", "grant", "60")
    lease_id = granted.split()[1]
    assert "TTL(60s)" in granted
    await ctl("put", f"{at}/l", "x", f"--lease={lease_id}")
    assert lease_id in await ctl("lease", "list")
    told = await ctl("lease", "timetolive", lease_id, "--keys")
    assert "granted with TTL(60s), remaining(5" in told
    assert f"{at}/l" in told
    assert "TTL(60)" in await ctl("lease", "keep-alive", "--once", lease_id)
    await ctl("lease", "revoke", lease_id)
    assert await ctl("get", f"{at}/l") == ""
    assert "already expired" in await ctl("lease", "timetolive", lease_id)


async def compaction(ctl: Ctl, at: str) -> None:
    await ctl("put", f"{at}/c", "1")
    fields = await ctl("put", f"{at}/c", "2", "-w", "fields")
    revision = int(next(line for line in fields.splitlines() if "Revision" in line).split()[-1])
    assert await ctl("get", f"{at}/c", f"--rev={revision - 1}") == f"{at}/c\n1\n"
    assert await ctl("compaction", str(revision)) == f"compacted revision {revision}\n"
    assert "required revision has been compacted" in await ctl("get", f"{at}/c", f"--rev={revision - 1}", status=1)
    assert "required revision has been compacted" in await ctl("compaction", str(revision), status=1)
    assert "required revision is a future revision" in await ctl("compaction", str(revision + 100), status=1)


async def watch(ctl: Ctl, at: str) -> None:
    first = await ctl("put", f"{at}/w1", "0", "-w", "fields")
    revision = int(next(line for line in first.splitlines() if "Revision" in line).split()[-1])
    await ctl("put", f"{at}/w2", "1")
    script = f"watch {at}/w --prefix --rev={revision}\n"
    expected = f"PUT\n{at}/w1\n0\nPUT\n{at}/w2\n1\nDELETE\n{at}/w1\n\n"

    async def change() -> None:
        await ctl("del", f"{at}/w1")

    assert await ctl("watch", "-i", stdin=script, until=expected, meanwhile=change) == expected


SESSIONS = {"put-get-del": put_get_del, "txn": txn, "lease": lease, "watch": watch, "compaction": compaction}


def ctl_for(endpoints: str) -> Ctl:
    async def ctl(*args: str, status: int = 0, stdin: str = "", until: str = "", meanwhile=None) -> str:
        if not stdin:
            return await etcdctl(endpoints, *args, status=status)
        process = await start_etcdctl(endpoints, *args)
        process.stdin.write(stdin.encode())
        if not until:
            out, _ = await asyncio.wait_for(process.communicate(), 10)
            return out.decode()
        try:
            await process.stdin.drain()
            out = await asyncio.wait_for(process.stdout.read(1), 10)
            await meanwhile()
            async with asyncio.timeout(10):
                while len(out) < len(until):
                    out += await process.stdout.read(1 << 16)
            return out.decode()
        finally:
            process.kill()
            await process.wait()

    return ctl


def test_etcdctl_works_against_every_replica(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            _, flags = replicas.etcdctl_endpoints.split(" ", 1)
            for name in replicas.names:
                ctl = ctl_for(f"{replicas.address[name]} {flags}")
                for at, session in SESSIONS.items():
                    await session(ctl, f"{name}/{at}")
            await cluster(replicas)

    asyncio.run(main())


async def cluster(replicas: Replicas) -> None:
    """What concerns all members at once."""
    endpoints = replicas.etcdctl_endpoints
    members = (await etcdctl_json(endpoints, "member", "list"))["members"]
    assert sorted(member["name"] for member in members) == replicas.names
    assert sorted(member["clientURLs"][0] for member in members) == sorted(
        f"https://{address}" for address in replicas.address.values()
    )
    statuses = [entry["Status"] for entry in await etcdctl_json(endpoints, "endpoint", "status")]
    assert len({status["leader"] for status in statuses}) == 1
    assert {status["leader"] for status in statuses} <= {status["header"]["member_id"] for status in statuses}
    assert len({status["header"]["revision"] for status in statuses}) == 1
    assert all(status["version"] == "3.6.4" and status["dbSize"] > 0 for status in statuses)
    hashes = [entry["HashKV"]["hash"] for entry in await etcdctl_json(endpoints, "endpoint", "hashkv")]
    assert len(hashes) == 3
    assert len(set(hashes)) == 1
    health = await etcdctl(endpoints, "endpoint", "health")
    assert health.count("is healthy") == 3
    assert await etcdctl(endpoints, "alarm", "list") == ""
    assert "not implemented" in await etcdctl(endpoints, "move-leader", "1", status=1)
