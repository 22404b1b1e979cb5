"""Options of the whole test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store-endpoints",
        metavar="URL,…",
        help="run tests/e2e on this given etcd alone, instead of on our store and on an etcd of their own",
    )
