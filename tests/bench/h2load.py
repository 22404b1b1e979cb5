"""Unary gRPC load from h2load (Debian's nghttp2-client): bodies built beforehand, one call in flight per client."""

import asyncio
import re
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

_WARM_UP_S = 1


@dataclass(frozen=True)
class Load:
    """What one run of h2load saw."""

    per_s: float
    p50_ms: float
    p99_ms: float
    count: int


def has_h2load() -> bool:
    """Whether it is installed."""
    return shutil.which("h2load") is not None


async def h2load(address: str, method: str, request: bytes, *, clients: int, seconds: float) -> Load:
    """Repeat one request from so many clients. Raises RuntimeError if any answer is not a success of HTTP's.

    A gRPC error hides in trailers, which h2load does not read: the caller must see that the request works.
    """
    with tempfile.TemporaryDirectory(prefix="minik8s-bench-") as directory:
        body, log = Path(directory) / "body", Path(directory) / "log"
        body.write_bytes(struct.pack(">BI", 0, len(request)) + request)
        process = await asyncio.create_subprocess_exec(
            "h2load", "--clients", str(clients), "--max-concurrent-streams", "1", "--threads", "1",
            "--duration", f"{round(seconds * 1000)}ms", "--warm-up-time", str(_WARM_UP_S),
            "--data", str(body), "--log-file", str(log),
            "--header", "content-type: application/grpc", "--header", "te: trailers", f"http://{address}{method}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = (await process.communicate())[0].decode()
        return _read(output, log)


def _read(output: str, log: Path) -> Load:
    counted = re.search(r"requests: \d+ total, .* (\d+) succeeded, (\d+) failed, (\d+) errored", output)
    speed = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", output)
    if not counted or not speed or int(counted[2]) or int(counted[3]) or not int(counted[1]):
        raise RuntimeError(f"h2load: {output}")
    latencies_us = sorted(int(line.split(b"\t")[2]) for line in log.read_bytes().splitlines())
    return Load(
        float(speed[1]),
        _percentile(latencies_us, 0.50) / 1000,
        _percentile(latencies_us, 0.99) / 1000,
        int(counted[1]),
    )


def _percentile(values: list[int], share: float) -> int:
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0
