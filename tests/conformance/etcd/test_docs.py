"""The sessions and examples of docs/store.md do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from store.serving import free_port

from conformance.etcd.processes import needs_etcdctl

pytestmark = [pytest.mark.slow, needs_etcdctl]

ROOT = Path(__file__).resolve().parents[3]
MARK = "<<<next>>>"


def console_session(text: str) -> list[tuple[str, str]]:
    """(command, what it prints) of each line after a `$ ` in console blocks."""
    block = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    steps = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        steps.append((command, output))
    return steps


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_session_in_the_docs_prints_what_it_says(tmp_path):
    text = (ROOT / "docs/store.md").read_text().replace("/tmp/minik8s-store", str(tmp_path / "store"))
    client, peer = free_port(), free_port()
    text = text.replace("127.0.0.1:2379", f"127.0.0.1:{client}")
    flags = f"--listen-client-urls http://127.0.0.1:{client} --listen-peer-urls http://127.0.0.1:{peer}"
    text = text.replace("--name s1 --data-dir /", f"{flags} --name s1 --data-dir /")
    steps = console_session(text)
    assert len(steps) > 10
    script = "set -m\ntrap 'kill %1 2>/dev/null' EXIT\n"
    script += "".join(f"{command}\nprintf '%s\\n' '{MARK}'\n" for command, _ in steps)
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    outputs = done.stdout.split(MARK + "\n")
    assert outputs[:-1] == [output for _, output in steps], done.stderr


def test_the_bare_grpc_client_works(tmp_path):
    client, peer = free_port(), free_port()
    minik8s = Path(sys.executable).parent / "minik8s"
    flags = ["--name=s1", f"--data-dir={tmp_path}/s1", f"--listen-client-urls=http://127.0.0.1:{client}"]
    store = subprocess.Popen(
        [minik8s, "store", *flags, f"--listen-peer-urls=http://127.0.0.1:{peer}"], stderr=subprocess.DEVNULL
    )
    try:
        example = [sys.executable, ROOT / "docs/examples/etcd_client.py", f"127.0.0.1:{client}"]
        done = subprocess.run(example, capture_output=True, text=True, timeout=30, check=True)
    finally:
        store.kill()
        store.wait()
    assert done.stdout.splitlines() == [
        "put: True",
        "get: hello",
        "first compare-and-set: done",
        "second compare-and-set: refused",
        "watched: put hello",
        "watched: put goodbye",
        "watched: deleted goodbye",
    ]
