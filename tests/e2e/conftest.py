"""One cluster for all end-to-end tests of a store: ours, and a stock etcd in its place."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Cluster, Etcd, find_kubectl


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames:
        given = metafunc.config.getoption("--store-endpoints")
        stores = [f"given:{given}"] if given else ["minik8s", "etcd"]
        metafunc.parametrize("cluster", stores, indirect=True, scope="session", ids=[s.split(":")[0] for s in stores])


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: unix sockets live below it."""
    made = Path(tempfile.mkdtemp(prefix="m8s-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster of the default size, on the store that the parameter names."""
    kind, _, endpoints = request.param.partition(":")
    if find_kubectl() is None:
        pytest.skip("needs kubectl")
    if kind == "etcd" and shutil.which("etcd") is None:
        pytest.skip("needs etcd (Debian: etcd-server)")
    data_directory = Path(tempfile.mkdtemp(prefix="m8s-"))
    made = Cluster(data_directory)
    etcd = Etcd(data_directory / "etcd") if kind == "etcd" else None
    options = ["--store-endpoints", etcd.url if etcd else endpoints] if kind != "minik8s" else []
    try:
        print(made.up(*options).stdout)
        yield made
        made.down("--delete")
    finally:
        if made.directory.exists():
            print(made.logs())
            made.minik8s("down", "--delete", check=False)
        if etcd:
            etcd.stop()
        shutil.rmtree(data_directory, ignore_errors=True)


@pytest.fixture
def kubectl_or_skip() -> None:
    if find_kubectl() is None:
        pytest.skip("needs kubectl")
