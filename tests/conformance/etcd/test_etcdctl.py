"""Stock etcdctl works against every replica of a three-member store, over TLS."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from chaos.cluster import Cluster
from store.replicas import Replicas

from conformance.etcd.processes import etcdctl, etcdctl_json, needs_etcdctl, start_etcdctl, stock_etcd
from minik8s.store import backup

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
    assert await etcdctl(endpoints, "alarm", "disarm") == ""
    assert (await etcdctl(endpoints, "defrag")).count("Finished defragmenting") == 3
    assert "bad leader transferee" in await etcdctl(leader_first(replicas, statuses), "move-leader", "1", status=1)


def leader_first(replicas: Replicas, statuses: list) -> str:
    """Flags that ask the leader, whom move-leader wants."""
    flags = replicas.etcdctl_endpoints.split(" ", 1)[1]
    leader = next(
        address
        for address, status in zip(replicas.address.values(), statuses, strict=True)
        if status["leader"] == status["header"]["member_id"]
    )
    return f"{leader} {flags}"


def test_etcdctl_moves_the_leader_saves_snapshots_and_changes_members(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            endpoints = replicas.etcdctl_endpoints
            flags = endpoints.split(" ", 1)[1]
            async with asyncio.timeout(10):
                while "unstarted" in await etcdctl(endpoints, "member", "list"):
                    pass
            members = {m["name"]: m["ID"] for m in (await etcdctl_json(endpoints, "member", "list"))["members"]}
            leader = await replicas.leader()
            target = next(name for name in replicas.names if name != leader)
            moved = await etcdctl(f"{replicas.address[leader]} {flags}", "move-leader", f"{members[target]:x}")
            assert moved == f"Leadership transferred from {members[leader]:x} to {members[target]:x}\n"
            assert await replicas.leader() == target

            await etcdctl(endpoints, "put", "a", "1")
            one = f"{replicas.address['s0']} {flags}"
            saved = await etcdctl(one, "snapshot", "save", str(tmp_path / "backup"))
            assert "Snapshot saved at" in saved
            with (tmp_path / "backup").open("rb") as file:
                assert backup.read(file).space.mvcc.get(b"a").value == b"1"

            url = replicas.prepare("s3").replace("://", "://s3@")
            added = await etcdctl(endpoints, "member", "add", "s3", "--learner", f"--peer-urls={url}")
            assert "added to cluster" in added
            assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in added
            learner = added.split()[1]
            await replicas.start("s3")
            await replicas.settled()
            async with asyncio.timeout(20):
                while "promoted" not in await any_status(endpoints, "member", "promote", learner):
                    await asyncio.sleep(0.2)
            removed = await etcdctl(one, "member", "remove", f"{members['s2']:x}")
            assert "removed from cluster" in removed
            assert (await etcdctl(one, "member", "list")).count("started") == 3
            same = f"--peer-urls={(await etcdctl_json(one, 'member', 'list'))['members'][0]['peerURLs'][0]}"
            assert "updated" in await etcdctl(one, "member", "update", f"{members['s0']:x}", same)

    asyncio.run(main())


async def any_status(endpoints: str, *args: str) -> str:
    """What etcdctl prints, whether it succeeds or not."""
    process = await start_etcdctl(endpoints, *args)
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    return out.decode()


def test_etcdctl_locks_elects_and_mirrors(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path, count=1) as replicas, stock_etcd(tmp_path / "stock") as stock:
            await replicas.settled()
            endpoints = replicas.etcdctl_endpoints
            assert await etcdctl(endpoints, "lock", "l", "echo", "locked") == "locked\n"
            candidate = await start_etcdctl(endpoints, "elect", "e", "first")
            async with asyncio.timeout(10):
                key = (await candidate.stdout.readline()).decode().strip()
                assert (await candidate.stdout.readline()).decode() == "first\n"
                observer = await start_etcdctl(endpoints, "elect", "--listen", "e")
                assert (await observer.stdout.readline()).decode().strip() == key
            for process in (observer, candidate):
                process.kill()
                await process.wait()

            await etcdctl(endpoints, "put", "mirrored/a", "1")
            mirror = await start_etcdctl(
                endpoints, "make-mirror", "--prefix=mirrored/", "--dest-insecure-transport", "--dest-cacert=", stock
            )
            async with asyncio.timeout(15):
                while await etcdctl(stock, "get", "mirrored/a", "--print-value-only") != "1\n":
                    await asyncio.sleep(0.2)
                await etcdctl(endpoints, "put", "mirrored/a", "2")
                while await etcdctl(stock, "get", "mirrored/a", "--print-value-only") != "2\n":
                    await asyncio.sleep(0.2)
            mirror.kill()
            await mirror.wait()

    asyncio.run(main())


def test_etcdctls_scale_check_passes(tmp_path):
    """It reads /metrics at the clients' port, for which it knows no certificates."""

    async def main() -> None:
        async with Cluster(tmp_path, kind="minik8s") as cluster:
            await cluster.settled()
            address = cluster.address[await cluster.leader()]
            told = await etcdctl(address, "check", "datascale", "--load=s", timeout_s=100)
            assert "PASS: Approximate system memory used" in told, told

    asyncio.run(main())


@pytest.mark.timed
def test_etcdctls_small_performance_check_passes(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path) as replicas:
            await replicas.settled()
            told = await etcdctl(replicas.etcdctl_endpoints, "check", "perf", "--load=s", timeout_s=100)
            assert told.count("PASS") == 4, told

    asyncio.run(main())
