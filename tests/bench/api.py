"""Our apiserver over our store (1 and 3 replicas) and over a real etcd: requests, latencies, CPU, memory, one machine.

Each request comes over TLS with a client certificate from a bare client in a process of its own (`http1.py`). Beside
each store's figures stand its own puts. The real kube-apiserver's figures are in docs and in `bars.md`.

    scripts/bench api
    scripts/bench api --json --stores etcd_1 --only create_pods_64,get_pods_64
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaos.cluster import Cluster, has_etcd
from store.serving import free_port

from bench import http1, large
from bench.h2load import h2load, has_h2load
from minik8s.kit.tls import Authority, Identity
from minik8s.wire.etcd import rpc_pb2 as rpc

STORES = {"minik8s_1": ("minik8s", 1), "minik8s_3": ("minik8s", 3), "etcd_1": ("etcd", 1)}
JOBS: dict[str, tuple[str, int, dict[str, Any]]] = {
    f"{job}_pods_{connections}": (job, connections, {})
    for job in ("create", "get", "patch", "delete")
    for connections in (1, 16, 64)
} | {
    "list_1000": ("list", 1, {}),
    "list_1000_any": ("list", 1, {"query": "?resourceVersion=0"}),
    "watch_100": ("watch", 100, {}),
    "watch_1000": ("watch", 1000, {}),
}
MEMORY = "memory"
IDLE_WATCHES = 200
MEMORY_PODS = 10_000
SERVICE_ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Api:
    """One apiserver process over a cluster of a store."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        authority = Authority(directory, "ca")
        self._serving = authority.issue("serving", user="kube-apiserver", hosts=["127.0.0.1"])
        self.admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
        self._cluster = cluster
        self._directory = directory
        self.address = f"127.0.0.1:{free_port()}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Api"]:
        stores = ",".join(f"http://{address}" for address in self._cluster.address.values())
        flags = {
            "etcd-servers": stores,
            "secure-port": self.address.rpartition(":")[2],
            "grpc-port": free_port(),
            "tls-cert-file": self._serving.cert_file,
            "tls-private-key-file": self._serving.key_file,
            "client-ca-file": self._serving.ca_file,
            "max-requests-inflight": 0,
            "max-mutating-requests-inflight": 0,
            "log-level": "warning",
        }
        with (self._directory / "apiserver.log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", "from minik8s.cli.main import main; main()", "apiserver"),
                *(f"--{name}={value}" for name, value in flags.items()),
                stdout=log,
                stderr=log,
            )
        try:
            await self._ready()
            yield self
        finally:
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()

    async def _ready(self) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    status, _ = await self.ask("GET", "/readyz")
                    if status == 200:
                        return
                except OSError:
                    pass
                if self.process.returncode is not None:
                    raise RuntimeError((self._directory / "apiserver.log").read_text()[-2000:])
                await asyncio.sleep(0.05)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request of this process."""
        connection = await http1.Load(self.spec({})).connect()
        try:
            return await connection.ask(http1.request(method, path, body))
        finally:
            connection.transport.close()

    async def load(self, **spec: Any) -> dict[str, float]:
        """A load from a process of its own, with the CPU it cost the apiserver and the store per answer."""
        before = self._cpu_s()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(http1.__file__)), json.dumps(self.spec(spec)), stdout=asyncio.subprocess.PIPE
        )
        output = (await process.communicate())[0]
        if process.returncode:
            raise RuntimeError(f"{spec['job']} failed")
        found = json.loads(output)
        apiserver_s, store_s = (now - then for now, then in zip(self._cpu_s(), before, strict=True))
        count = max(found.pop("count"), 1)
        return found | {
            "cpu_ms": round(apiserver_s / count * 1000, 3),
            "store_cpu_ms": round(store_s / count * 1000, 3),
        }

    async def names(self) -> list[str]:
        """Names of the pods there are."""
        _, body = await self.ask("GET", http1.PODS)
        return [item["metadata"]["name"] for item in json.loads(body)["items"]]

    async def fill(self, count: int) -> None:
        """Have exactly so many pods, or a few more."""
        while (missing := count - len(await self.names())) > 0:
            await self.load(job="create", connections=16, seconds=max(missing / 3000, 0.05))
        names = await self.names()
        await self.load(job="delete", connections=16, seconds=60, names=names[count:])

    def memory_mb(self) -> float:
        """Of the apiserver."""
        return large.memory_bytes(self.process.pid) / (1 << 20)

    def spec(self, spec: dict[str, Any]) -> dict[str, Any]:
        """A job of `http1`, with this server's address and the admin's certificate."""
        identity: Identity = self.admin
        files = [str(each) for each in (identity.cert_file, identity.key_file, identity.ca_file)]
        return {"address": self.address, "identity": files} | spec

    def _cpu_s(self) -> tuple[float, float]:
        stores = [process.pid for process in self._cluster.processes.values()]
        return _cpu_s(self.process.pid), sum(map(_cpu_s, stores))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


async def measure(store: str, wanted: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Everything wanted over one store."""
    kind, size = STORES[store]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="minik8s-bench-api-") as name:
        directory = Path(name)
        async with Cluster(directory, kind=kind, size=size) as cluster:
            await cluster.settled()
            if has_h2load():
                put = rpc.PutRequest(key=b"bench", value=b"x" * 1500).SerializeToString()
                address = cluster.address[await cluster.leader()]
                load = await h2load(address, "/etcdserverpb.KV/Put", put, clients=64, seconds=seconds)
                found["store_puts_64"] = {"per_s": load.per_s, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
            begun_s = time.monotonic()
            async with Api(directory, cluster).running() as api:
                found["start_up_s"] = round(time.monotonic() - begun_s, 2)
                found["memory_empty_mb"] = round(api.memory_mb(), 1)
                await api.ask("POST", SERVICE_ACCOUNTS, b'{"metadata":{"name":"default"}}')  # No controllers run here.
                await api.load(job="create", connections=4, seconds=0.3)  # Caches that the first requests fill.
                for job in wanted:
                    if job != MEMORY:
                        found[job] = await _job(api, job, seconds)
            if MEMORY in wanted:
                found |= await _memory(directory, cluster, found["memory_empty_mb"])
    return found


async def _job(api: Api, name: str, seconds: float) -> dict[str, float]:
    job, connections, more = JOBS[name]
    if job == "list":
        await api.fill(1000)
    if job == "delete":
        await api.fill(int(1000 * seconds))
    return await api.load(job=job, connections=connections, seconds=seconds, names=await api.names(), **more)


async def _memory(directory: Path, cluster: Cluster, empty_mb: float) -> dict[str, float]:
    """What pods and idle watches hold, in a process that has done nothing else."""
    async with Api(directory, cluster).running() as api:
        await api.fill(MEMORY_PODS)
    async with Api(directory, cluster).running() as api:
        full_mb = api.memory_mb()
        client = http1.Load(api.spec({}))
        connections = []
        query = "?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dx"
        for _ in range(IDLE_WATCHES):
            connection = await client.connect()
            connection.lines = asyncio.Queue()
            connection.transport.write(http1.request("GET", f"{http1.PODS}{query}"))
            await connection.lines.get()
            connections.append(connection)
        watches_kb = (api.memory_mb() - full_mb) * 1024 / IDLE_WATCHES
        for connection in connections:
            connection.transport.close()
    return {
        f"memory_{MEMORY_PODS}_pods_mb": round(full_mb, 1),
        "memory_per_1000_pods_mb": round((full_mb - empty_mb) / MEMORY_PODS * 1000, 2),
        "memory_per_idle_watch_kb": round(watches_kb, 1),
    }


async def run(stores: tuple[str, ...], wanted: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Everything wanted over every store."""
    return {store: await measure(store, wanted, seconds) for store in stores}


def print_table(found: dict[str, Any]) -> None:
    """The figures, one store after another."""
    for store, figures in found.items():
        print(f"\n{store}{'':18}{'per s':>10}{'p50 ms':>10}{'p99 ms':>10}{'cpu ms':>10}{'store':>10}")
        for name, value in figures.items():
            if isinstance(value, dict):
                cells = [value.get(each, "") for each in ("per_s", "p50_ms", "p99_ms", "cpu_ms", "store_cpu_ms")]
                print(f"  {name:24}" + "".join(f"{cell:>10}" for cell in cells))
            else:
                print(f"  {name:24}{value:>10}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*JOBS, MEMORY)
    parser.add_argument("--seconds", type=float, default=3, help="of each load (3)")
    parser.add_argument("--stores", default=",".join(STORES), help=f"which of {','.join(STORES)} (all)")
    parser.add_argument("--only", default=",".join(names), help=f"which of {','.join(names)} (all)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    args = parser.parse_args()
    stores = tuple(each for each in args.stores.split(",") if each)
    wanted = tuple(each for each in args.only.split(",") if each)
    if unknown := (set(stores) - set(STORES)) | (set(wanted) - set(names)):
        parser.error(f"no such store or measurement: {', '.join(sorted(unknown))}")
    if not has_etcd():
        stores = tuple(each for each in stores if STORES[each][0] != "etcd")
    found = asyncio.run(run(stores, wanted, args.seconds))
    if args.json:
        print(json.dumps(found))
    else:
        print_table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
