"""Programs of the stock etcd, started by tests: its server and etcdctl."""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from store.serving import free_port

needs_etcd = pytest.mark.skipif(not shutil.which("etcd"), reason="Debian's etcd-server is not installed")
needs_etcdctl = pytest.mark.skipif(not shutil.which("etcdctl"), reason="Debian's etcd-client is not installed")


@asynccontextmanager
async def stock_etcd(directory: Path) -> AsyncIterator[str]:
    """HOST:PORT of a fresh single-member etcd without TLS."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    args = {
        "name": "stock",
        "data-dir": directory,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"stock={peer}",
        "log-level": "error",
    }
    flags = [f"--{name}={value}" for name, value in args.items()]
    process = await asyncio.create_subprocess_exec("etcd", *flags, stdout=DEVNULL, stderr=DEVNULL)
    address = client.removeprefix("http://")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
        yield address
    finally:
        process.kill()
        await process.wait()


async def etcdctl(endpoints: str, *args: str, timeout_s: float = 20, status: int = 0) -> str:
    """What `etcdctl ARGS` prints; fails unless it exits with `status`."""
    process = await start_etcdctl(endpoints, *args)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode()
    assert process.returncode == status, f"etcdctl {' '.join(args)}: exit {process.returncode}: {text}"
    return text


async def etcdctl_json(endpoints: str, *args: str) -> Any:
    """The parsed answer of `etcdctl ARGS -w json`."""
    return json.loads(await etcdctl(endpoints, *args, "-w", "json"))


async def start_etcdctl(endpoints: str, *args: str) -> asyncio.subprocess.Process:
    """A running etcdctl with its standard input and output as pipes. `endpoints` may carry flags after a space."""
    return await asyncio.create_subprocess_exec(
        "etcdctl",
        "--endpoints",
        *endpoints.split(),
        *args,
        env={"ETCDCTL_API": "3", "PATH": os.environ["PATH"]},
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
    )
