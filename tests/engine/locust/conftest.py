"""A server in this process for all tests, and locustfiles written where a test wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.stack.target import Target
from tests.engine.locust.troubled_shop import TroubledShop

Writer = Callable[[str], Path]


@pytest.fixture(scope="session")
def shop() -> Iterator[TroubledShop]:
    server = TroubledShop()
    yield server
    server.close()


@pytest.fixture(scope="session")
def target(shop: TroubledShop) -> Target:
    return Target("api", "http", "127.0.0.1", shop.server_address[1], username="ann", password="s3cr3t/pass")


@pytest.fixture
def locustfile(tmp_path: Path) -> Writer:
    def written(text: str) -> Path:
        path = tmp_path / "journey.py"
        path.write_text(text, encoding="utf-8")
        return path

    return written
