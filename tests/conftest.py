"""Options of the whole test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store-endpoints",
        metavar="URL,…",
        help="run tests/e2e on this given etcd alone, instead of on our store and on an etcd of their own",
    )
    parser.addoption("--timed", action="store_true", help="run also what passes or fails by time: on a quiet machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--timed"):
        skip = pytest.mark.skip(reason="passes or fails by time: run it with --timed on a quiet machine")
        for item in items:
            if item.get_closest_marker("timed"):
                item.add_marker(skip)
