"""Servers that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from bench.stack.stack import Stack, open_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Redis and a Postgres of our own."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("REDIS_URL", "DATABASE_URL"):
            patched.delenv(name, raising=False)
        with open_stack("embedded", {"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as opened:
            yield opened
