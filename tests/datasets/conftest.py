"""Fixtures of the data sets' tests: PostgreSQL 18 and 16, and an empty database in them for each test."""

from collections.abc import Iterator

import pytest

from bench.datasets import dataset
from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from tests.datasets.asking import ask, elsewhere

EMPTY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "DROP SCHEMA IF EXISTS holdfast_app CASCADE",
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    with EmbeddedStack({"postgres", "postgres_16"}, tmp_path_factory.mktemp("stack")) as stack:
        yield stack.targets()


@pytest.fixture(params=["postgres", "postgres_16"])
def target(request: pytest.FixtureRequest, servers: dict[str, Target]) -> Target:
    """An empty database on each version."""
    return _emptied(servers[request.param])


@pytest.fixture
def target_18(servers: dict[str, Target]) -> Target:
    """An empty database on version 18, for what does not depend on the version."""
    return _emptied(servers["postgres"])


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets with a fiftieth of their rows, for what does not depend on the number."""
    monkeypatch.setitem(dataset.TPCB_ROWS, "pgbench_accounts", 2_000)
    for table, rows in dataset.APP_ROWS.items():
        monkeypatch.setitem(dataset.APP_ROWS, table, rows // 50)


def _emptied(target: Target) -> Target:
    """Emptied rather than made anew: a new database costs more than most tests."""
    ask(elsewhere(target, "postgres"), f"ALTER DATABASE {target.database} RESET ALL")
    ask(target, ";".join(EMPTY))
    return target
