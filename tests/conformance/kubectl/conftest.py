"""One apiserver over one etcd for all tests here; each test has a namespace of its own."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from .cluster import Cluster, find_kubectl

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if shutil.which("etcd") is None or find_kubectl() is None:
        pytest.skip("needs etcd (Debian: etcd-server) and kubectl")
    with Cluster(tmp_path_factory.mktemp("kubectl")).running() as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    name = f"test-{next(_numbers)}"
    cluster.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def kubectl(cluster: Cluster, namespace: str) -> Callable[..., str]:
    """kubectl, in the test's namespace."""
    return partial(cluster.kubectl, "--namespace", namespace)
