"""One world for all clients; each test has a namespace of its own."""

import itertools
import shutil
from collections.abc import Iterator

import pytest

from conformance.kubectl.cluster import find_kubectl

from .world import World

_numbers = itertools.count()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if shutil.which("etcd") is None or find_kubectl() is None:
        pytest.skip("needs etcd (Debian: etcd-server, etcd-client) and kubectl")
    with World(tmp_path_factory.mktemp("clients")).running() as made:
        yield made


@pytest.fixture
def namespace(world: World) -> str:
    name = f"client-{next(_numbers)}"
    world.kubectl("create", "namespace", name)
    return name
