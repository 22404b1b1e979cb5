"""`minik8s store` tells its user what is wrong, in a line; ended, it ends well; started again, it has its data."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from minik8s.wire.etcd import rpc_pb2 as rpc
from store.replicas import Replicas
from store.serving import free_port

pytestmark = pytest.mark.slow

STORE = [Path(sys.executable).parent / "minik8s", "store"]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*STORE, *flags], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--listen-client-urls=ftp://127.0.0.1:1"], "is not http(s)://HOST:PORT"),
        (["--name=a", "--initial-cluster=b=http://127.0.0.1:1"], "has no member 'a'"),
        (["--initial-cluster=nonsense"], "'nonsense' is not NAME=URL"),
        (["--listen-client-urls=https://127.0.0.1:1"], "https://127.0.0.1:1 needs --cert-file"),
        (["--listen-client-urls=https://127.0.0.1:1,http://127.0.0.1:2"], "use https for all or for none"),
        (["--heartbeat-interval=500"], "at least five times --heartbeat-interval"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_wrong_flags_are_refused(flags, told):
    done = run(*flags)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize("flag", ["--listen-client-urls", "--listen-peer-urls", "--listen-metrics-urls"])
def test_a_port_in_use_is_told(flag, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        urls = {name: f"http://127.0.0.1:{free_port()}" for name in ("--listen-client-urls", "--listen-peer-urls")}
        urls[flag] = f"http://127.0.0.1:{taken.getsockname()[1]}"
        # A member alone has no need to listen for others.
        cluster = f"--initial-cluster=default={urls['--listen-peer-urls']},b=http://127.0.0.1:{free_port()}"
        done = run(f"--data-dir={tmp_path}/data", cluster, *(f"{name}={url}" for name, url in urls.items()))
    assert done.returncode == 1
    assert "minik8s store: cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_directory_that_cannot_be_written_is_told():
    urls = [f"--listen-{what}-urls=http://127.0.0.1:{free_port()}" for what in ("client", "peer")]
    done = run("--data-dir=/proc/minik8s", *urls)
    assert done.returncode == 1
    assert "/proc/minik8s" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_full_disk_stops_the_store_and_loses_nothing(small_disk):
    async def main() -> None:
        async with Replicas(small_disk, count=1) as replicas:
            (name,) = replicas.names
            await replicas.settled()
            acknowledged = 0
            with pytest.raises(grpc.aio.AioRpcError):
                for acknowledged in range(1000):
                    put = rpc.PutRequest(key=f"{acknowledged:04}".encode(), value=b"x" * 10_000)
                    await replicas.call(name, "KV/Put", put, rpc.PutResponse)
            assert acknowledged > 10
            assert await asyncio.wait_for(replicas.end(name, signal.SIGCONT), 10) == 1, "it has ended by itself"
            subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
            await replicas.start(name)
            await replicas.settled()
            everything = rpc.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True)
            kvs = (await replicas.call(name, "KV/Range", everything, rpc.RangeResponse)).kvs
            # The write that failed had an unknown outcome; those before it had not.
            assert [kv.key for kv in kvs][:acknowledged] == [f"{n:04}".encode() for n in range(acknowledged)]

    asyncio.run(main())


def test_data_outlives_the_process(tmp_path):
    async def main() -> None:
        async with Replicas(tmp_path, count=1) as replicas:
            (name,) = replicas.names
            for number in range(1, 3):
                await replicas.settled()
                put = rpc.PutRequest(key=b"a", value=str(number).encode())
                answer = await replicas.call(name, "KV/Put", put, rpc.PutResponse)
                assert answer.header.revision == number + 1
                assert await replicas.end(name, signal.SIGTERM) == 0
                await replicas.start(name)
            await replicas.settled()
            kv = (await replicas.call(name, "KV/Range", rpc.RangeRequest(key=b"a"), rpc.RangeResponse)).kvs[0]
            assert (kv.value, kv.version) == (b"2", 2)

    asyncio.run(main())
