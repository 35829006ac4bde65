"""Fixtures of the data sets' tests: PostgreSQL 18 and 16, and an empty database in them for each test."""

from collections.abc import Iterator

import pytest
from little_postgres import DATABASE, LittlePostgres, ask

from bench.stack.target import Target

EMPTY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "DROP SCHEMA IF EXISTS holdfast_app CASCADE",
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
)


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[LittlePostgres]:
    server = LittlePostgres(18)
    yield server
    server.close()


@pytest.fixture(scope="session", params=[18, 16])
def server(request: pytest.FixtureRequest) -> Iterator[LittlePostgres]:
    """Both versions, one after the other."""
    if request.param == 18:
        yield request.getfixturevalue("postgres_18")
        return
    server = LittlePostgres(request.param)
    yield server
    server.close()


@pytest.fixture
def target(server: LittlePostgres) -> Iterator[Target]:
    """An empty database on each version."""
    yield from _fresh(server)


@pytest.fixture
def target_18(postgres_18: LittlePostgres) -> Iterator[Target]:
    """An empty database on version 18, for what does not depend on the version."""
    yield from _fresh(postgres_18)


def _fresh(server: LittlePostgres) -> Iterator[Target]:
    """Emptied rather than made anew: a new database costs more than most tests."""
    ask(server.target("postgres"), f"ALTER DATABASE {DATABASE} RESET ALL")
    for statement in EMPTY:
        ask(server.target(), statement)
    yield server.target()
