"""Fixtures of the swarm's tests: one real server for all of them."""

from collections.abc import Iterator

import pytest

from bench.stack.stack import Stack, open_stack
from bench.swarm.distributed import coordinator as fleet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/swarm/") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))  # a first run compiles


@pytest.fixture(scope="module")
def redis_for_swarms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"redis"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack


@pytest.fixture
def short_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages between threads need no second to arrive."""
    monkeypatch.setattr(fleet, "LEAST_LEAD_NS", 300_000_000)
