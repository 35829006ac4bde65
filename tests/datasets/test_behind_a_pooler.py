"""Data sets behind a pooler in transaction mode: loaded, claimed, and no setting or lock left on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.core.errors import TargetError
from bench.datasets import DataSet
from bench.datasets.connection import Claim, connected
from bench.datasets.loading import load
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target
from tests.helpers.pooler import Pooler


@pytest.fixture
def pooler(target_18: Target, tmp_path: Path) -> Iterator[Pooler]:
    started = Pooler(target_18, tmp_path, "transaction", 3)
    yield started
    started.close()


def test_a_set_is_loaded_and_claimed_and_the_pool_is_as_before(pooler: Pooler, small_sets: None) -> None:
    claim = Claim(pooler.declared, "tpcb")
    load(pooler.declared, DataSet("tpcb", 1), lambda _: None, claim)
    with pytest.raises(TargetError, match="another run at work on it"):
        load(pooler.declared, DataSet("tpcb", 1), lambda _: None)
    claim.give_back()
    load(pooler.declared, DataSet("tpcb", 1), lambda _: None)
    with psycopg.connect(**libpq_parameters(pooler.target)) as connection:
        found = connection.execute(
            "SELECT name FROM pg_settings WHERE source = 'session' AND name ~ 'timeout'"
        ).fetchall()
        locks = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert found == []
    assert locks == (0,)


def test_files_that_need_a_session_are_refused_with_what_to_do(pooler: Pooler) -> None:
    with (
        pytest.raises(TargetError, match="name the server itself"),
        connected(pooler.declared, "SQL files to be run", autocommit=True),
    ):
        pass
