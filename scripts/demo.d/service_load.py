"""Requests to a Service, each over a new connection and never repeated: run by the demo as a process of its own.

    python service_load.py ADDRESS PORT [--per-second 60]

A fixed rate, whatever the answers take, so that a stall shows as latency and not as fewer requests. When standard
input closes it waits for the answers outstanding and prints one JSON object: who answered how often, what failed.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

TIMEOUT_S = 10.0


class Load:
    """Counts answers by their text, failures by what failed, and times in seconds."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.times_s: list[float] = []

    async def ask(self) -> None:
        """One request, as curl would make it."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection(self._address, self._port)
                try:
                    writer.write(f"GET / HTTP/1.1\r\nHost: {self._address}\r\nConnection: close\r\n\r\n".encode())
                    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                finally:
                    writer.close()
        except OSError as error:  # a TimeoutError is one
            self.failures[type(error).__name__] += 1
            return
        if b" 200 " not in head.partition(b"\r\n")[0] or not body:
            self.failures[f"answered {head[:40].decode(errors='replace')!r}"] += 1
            return
        self.times_s.append(time.monotonic() - started)
        self.answers[body.decode(errors="replace").strip()] += 1

    def result(self, took_s: float) -> dict[str, object]:
        times_ms = sorted(1000 * time_s for time_s in self.times_s) or [0.0]
        total = sum(self.answers.values()) + sum(self.failures.values())
        return {
            "requests": total,
            "per_second": round(total / took_s, 1),
            "answers": dict(sorted(self.answers.items())),
            "failures": dict(self.failures),
            "p50_ms": round(times_ms[len(times_ms) // 2], 1),
            "p99_ms": round(times_ms[len(times_ms) * 99 // 100], 1),
            "max_ms": round(times_ms[-1], 1),
        }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--per-second", type=float, default=60)
    options = parser.parse_args()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    load = Load(options.address, options.port)
    started = due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(load.ask())
            due += 1 / options.per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        took_s = time.monotonic() - started
    print(json.dumps(load.result(took_s)))


if __name__ == "__main__":
    asyncio.run(main())
