"""Writes and a watch through the Kubernetes API, and the proof of what it kept: a process of its own beside the demo.

    python api_load.py DIRECTORY [--per-second 20]

Creates ConfigMaps through the balanced REST address, each over a new connection and never repeated, and watches them,
reopening the watch after the last resourceVersion seen. When standard input closes it stops and checks that every
acknowledged ConfigMap is there, and that the recorded watch equals a replay from the same resourceVersion.

Prints one JSON object; exit code 1 if any check failed.
"""

import argparse
import http.client
import json
import os
import ssl
import sys
import threading
import time
from itertools import count, pairwise
from pathlib import Path
from urllib.parse import urlsplit

from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import load
from minik8s.kit.tls import client_context

PATH = "/api/v1/namespaces/default/configmaps"
SELECTOR = "labelSelector=demo%3Dload"


class WatchError(Exception):
    """The server refuses a watch, or ends one: an API server that has just started knows no history (410 Expired)."""


class Api:
    """The calls needed, without any retry."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._context = context

    def call(self, method: str, path: str, body: object = None, timeout_s: float = 15) -> tuple[int, dict]:
        connection = self._open(timeout_s)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def watch(self, revision: str, timeout_s: float):  # type: ignore[no-untyped-def]
        """(type, name, resourceVersion) of each event, until the server ends the watch or is silent for `timeout_s`."""
        connection = self._open(timeout_s)
        try:
            connection.request("GET", f"{PATH}?watch=1&{SELECTOR}&resourceVersion={revision}")
            response = connection.getresponse()
            if response.status != 200:
                raise WatchError(response.read(1000).decode(errors="replace"))
            while line := response.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchError(event["object"])
                metadata = event["object"]["metadata"]
                if event["type"] != "BOOKMARK":
                    yield event["type"], metadata["name"], int(metadata["resourceVersion"])
        finally:
            connection.close()

    def _open(self, timeout_s: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(*self._address, timeout=timeout_s, context=self._context)


class Load:
    """One writer at a fixed rate of starts, one watcher."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[str, int] = {}
        self.failed: list[str] = []
        self.seen: list[tuple[str, str, int]] = []
        self.reopened = 0
        self.longest_gap_s = 0.0
        self._last_ack_s = time.monotonic()
        status, listed = api.call("GET", PATH)
        assert status == 200, listed
        self.first = listed["metadata"]["resourceVersion"]
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def run(self, per_second: float) -> None:
        """Create until standard input closes."""
        threading.Thread(target=lambda: (sys.stdin.read(), self._stop.set()), daemon=True).start()
        writers = []
        due = time.monotonic()
        for number in count():
            if self._stop.is_set():
                break
            writers.append(threading.Thread(target=self._create, args=(f"load-{os.getpid()}-{number:06}",)))
            writers[-1].start()
            due += 1 / per_second
            time.sleep(max(0.0, due - time.monotonic()))
        for writer in writers:
            writer.join()

    def _create(self, name: str) -> None:
        document = {"metadata": {"name": name, "labels": {"demo": "load"}}, "data": {"name": name}}
        try:
            status, answer = self._api.call("POST", PATH, document)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return
        if status != 201:
            self.failed.append(f"{status} {answer.get('message')}")
            return
        with self._lock:
            now_s = time.monotonic()
            self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_ack_s)
            self._last_ack_s = now_s
            self.acknowledged[name] = int(answer["metadata"]["resourceVersion"])

    def _watch(self) -> None:
        while True:
            try:
                for event in self._api.watch(str(self.seen[-1][2]) if self.seen else self.first, timeout_s=30):
                    self.seen.append(event)
            except (OSError, http.client.HTTPException, ValueError, WatchError):
                self.reopened += 1
                time.sleep(0.05)

    def check(self) -> dict[str, object]:
        """The proof, as counts; every count under `faults` must be 0."""
        last = max(self.acknowledged.values(), default=0)
        deadline = time.monotonic() + 15
        while (not self.seen or self.seen[-1][2] < last) and time.monotonic() < deadline:
            time.sleep(0.05)
        _, listed = self._api.call("GET", f"{PATH}?{SELECTOR}")
        held = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in listed["items"]}
        seen = list(self.seen)
        replayed = self._replay(seen[-1][2]) if seen else []
        return {
            "acknowledged": len(self.acknowledged),
            "failed": len(self.failed),
            "failures": sorted(set(self.failed))[:5],
            "longest_gap_s": round(self.longest_gap_s, 3),
            "watched": len(seen),
            "watch_reopened": self.reopened,
            "faults": {
                "lost": sum(held.get(name) != revision for name, revision in self.acknowledged.items()),
                "watch differs from history": int(seen != replayed),
                "watch goes back": sum(a[2] >= b[2] for a, b in pairwise(seen)),
            },
        }

    def _replay(self, last: int) -> list[tuple[str, str, int]]:
        """All events up to `last` in one go, from an API server that has been there long enough."""
        for _ in range(8):
            replayed = []
            try:
                for event in self._api.watch(self.first, timeout_s=10):
                    replayed.append(event)
                    if event[2] >= last:
                        return replayed
            except WatchError:
                continue  # the balancer takes turns: the next connection reaches another one
        raise AssertionError("no API server knows the history from the start of the load")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--per-second", type=float, default=20)
    options = parser.parse_args()
    cluster = load(options.directory)
    assert cluster is not None, f"no cluster in {options.directory}"
    identity = Certificates(cluster, options.directory / "pki").admin()
    work = Load(Api(cluster.api_url, client_context(identity)))
    work.run(options.per_second)
    found = work.check()
    print(json.dumps(found))
    return int(any(found["faults"].values()))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
