"""One server for all attacks."""

import shutil
from collections.abc import Iterator

import pytest

from .server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("etcd") is None:
        pytest.skip("needs etcd (Debian: etcd-server)")
    made = Server(tmp_path_factory.mktemp("security"))
    with made.running():
        made.make("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield made
