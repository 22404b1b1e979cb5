"""The benches run, and print what issue and docs name; their figures are judged by people, on a quiet machine."""

import asyncio

import pytest
from chaos.cluster import has_etcd

from bench import api, catchup, large
from bench.h2load import has_h2load
from bench.store import ECHOED, OTHERS, UNARY, run


@pytest.mark.slow
@pytest.mark.skipif(not (has_h2load() and has_etcd()), reason="needs Debian's nghttp2-client and etcd-server")
def test_every_ratio_is_measured():
    found = asyncio.run(run(1, (*UNARY, *OTHERS), 0.3))
    assert set(found["ratios"]) == {*UNARY, *OTHERS}
    assert set(found["of_echo"]) == set(ECHOED)
    assert all(ratio > 0 for ratio in found["ratios"].values())


@pytest.mark.slow
def test_a_large_store_is_measured():
    found = asyncio.run(large.measure(2000))
    assert found["memory_bytes_per_key"] > 0 and found["snapshot_mb"] >= 0 and found["start_up_s"] > 0


@pytest.mark.slow
def test_catching_up_is_measured():
    found = asyncio.run(catchup.measure(5))
    assert found["catch_up_s"] > 0 and found["put_ms"]["during"]["count"] > 0


@pytest.mark.slow
def test_the_api_is_measured():
    wanted = ("create_pods_16", "get_pods_16", "patch_pods_16", "watch_100")
    found = asyncio.run(api.run(("minik8s_1",), wanted, 0.3))["minik8s_1"]
    for name in wanted:
        assert set(found[name]) == {"per_s", "p50_ms", "p99_ms", "cpu_ms", "store_cpu_ms"}
        assert found[name]["per_s"] > 0
