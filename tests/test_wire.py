"""The generated stubs are what proto/ says, and do not clash with another client's in the same process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_committed_stubs_are_fresh(tmp_path):
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed (scripts/setup installs it)")
    subprocess.run([sys.executable, str(ROOT / "scripts/gen"), "--out", str(tmp_path)], check=True)
    committed = ROOT / "src/minik8s/wire"
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    stale = [str(place) for place, text in made.items() if (committed / place).read_text() != text]
    assert stale == [], "run scripts/gen and commit what it changes"


def test_stubs_register_in_a_pool_of_their_own():
    # In a process of its own: a test of ours may have imported another etcd client into this one.
    program = """
from google.protobuf import descriptor_pool
from minik8s.wire.etcd import rpc_pb2
assert rpc_pb2.RangeRequest.DESCRIPTOR.full_name == "etcdserverpb.RangeRequest"
try:
    descriptor_pool.Default().FindMessageTypeByName("etcdserverpb.RangeRequest")
except KeyError:
    print("absent")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "absent\n"


def test_field_numbers_that_clients_rely_on():
    from minik8s.wire.etcd import kv_pb2, rpc_pb2

    number = {field.name: field.number for field in rpc_pb2.WatchResponse.DESCRIPTOR.fields}
    assert number["events"] == 11
    assert kv_pb2.KeyValue(key=b"k", create_revision=2, lease=7).SerializeToString() == b"\x0a\x01k\x10\x02\x30\x07"
    assert rpc_pb2.Compare.DESCRIPTOR.fields_by_name["range_end"].number == 64
