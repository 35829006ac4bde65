"""A primary and a hot standby of the distribution's PostgreSQL: each kind of session finds its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from bench.stack.target_url import target_of
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.helpers.tls_servers import free_port, program, running
from tests.helpers.waiting import eventually
from tests.parity.parity_runs import ENGINES

LANES = 4
USER = "postgres" if os.getuid() == 0 else None
ATTRIBUTES = {
    "any": ("first", "first"),
    "read-write": ("primary", "primary"),
    "primary": ("primary", "primary"),
    "read-only": ("standby", "standby"),
    "standby": ("standby", "standby"),
    "prefer-standby": ("standby", "standby"),
}


def asked(target: Target) -> tuple[str, int]:
    with psycopg.connect(host=target.host, port=target.port, user="postgres", dbname="postgres") as admin:
        row = admin.execute("SELECT pg_is_in_recovery(), count(*) FROM pg_stat_replication").fetchone()
    assert row is not None
    return ("standby" if row[0] else "primary"), int(row[1])


@dataclass
class Pair:
    """Their ports, and the folder of each."""

    primary: int
    standby: int
    folder: Path

    def url(self, attribute: str, *ports: int) -> Target:
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs={attribute}"
        return target_of(url, name="postgres")


@contextlib.contextmanager
def server(data: Path, port: int) -> Iterator[None]:
    folder = data.parent
    command = [
        *(program("postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"),
        *("-c", "fsync=off", "-c", "max_connections=50"),
    ]
    with running(command, port, folder, USER, "ready to accept"):
        yield


@contextlib.contextmanager
def pair_of_servers() -> Iterator[Pair]:
    initdb, backup = program("initdb"), program("pg_basebackup")
    # Not below pytest's folders: another user than root may not enter those.
    with tempfile.TemporaryDirectory(prefix="standby-") as made, contextlib.ExitStack() as servers:
        folder = Path(made)
        for path in (folder, folder / "first", folder / "second"):
            path.mkdir(exist_ok=True)
            if USER is not None:
                shutil.chown(path, USER)
        pair = Pair(free_port(), free_port(), folder)

        def done(*command: str | Path) -> None:
            subprocess.run(list(map(str, command)), check=True, capture_output=True, user=USER, cwd=folder)

        done(initdb, "-D", folder / "first" / "data", "-U", "postgres", "-A", "trust", "--no-sync")
        servers.enter_context(server(folder / "first" / "data", pair.primary))
        where = ("-h", "127.0.0.1", "-p", str(pair.primary), "-U", "postgres")
        done(
            backup, *where, "-D", folder / "second" / "data", "-R", "-X", "stream", "-c", "fast", "--no-sync"
        )
        servers.enter_context(server(folder / "second" / "data", pair.standby))
        eventually(lambda: asked(pair.url("any", pair.primary)) == ("primary", 1), "the standby follows")
        assert asked(pair.url("any", pair.standby))[0] == "standby"
        yield pair


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_servers() as made:
        yield made


def ran(engine: str, target: Target, sql: str, *actions: object, length: str = "300ms") -> Ran:
    plan = plan_of(
        engine=engine, target="postgres", driver="postgres", pool=LANES, lanes=LANES, keys=None,
        operations={"ask": {"sql": sql}}, rate="100/s", phases={"steady": length},
    )  # fmt: skip
    made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)
    return run(made, *actions)  # type: ignore[arg-type]  # pairs of a second and a call


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("turned", [False, True], ids=["primary first", "standby first"])
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_kind_of_session_finds_the_server_that_it_needs(
    pair: Pair, engine: str, attribute: str, turned: bool
) -> None:
    ports = (pair.standby, pair.primary) if turned else (pair.primary, pair.standby)
    wanted = ATTRIBUTES[attribute][turned]
    port = {"first": ports[0], "primary": pair.primary, "standby": pair.standby}[wanted]
    only_there = f"SELECT 1 / (current_setting('port') = '{port}')::int"
    found = ran(engine, pair.url(attribute, *ports), only_there)
    assert found.outcomes() == {Outcome.OK: 30}, [error.text for error in found.result.errors]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_standby_is_preferred_and_not_needed(pair: Pair, engine: str) -> None:
    found = ran(engine, pair.url("prefer-standby", pair.primary), "SELECT 1")
    assert found.outcomes() == {Outcome.OK: 30}


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
def test_lanes_that_write_find_the_standby_that_was_promoted_after_the_primary_died(engine: str) -> None:
    with pair_of_servers() as pair:
        target = pair.url("read-write", pair.primary, pair.standby)
        with psycopg.connect(host="127.0.0.1", port=pair.primary, user="postgres", autocommit=True) as admin:
            admin.execute("CREATE TABLE written (n int)")

        def fail_over() -> None:
            postmaster = (pair.folder / "first" / "data" / "postmaster.pid").read_text().split("\n")[0]
            os.kill(int(postmaster), signal.SIGQUIT)
            control, data = program("pg_ctl"), pair.folder / "second" / "data"
            subprocess.run(
                [control, "-D", str(data), "promote"], check=True, capture_output=True, user=USER, cwd="/"
            )

        found = ran(engine, target, "INSERT INTO written VALUES (1)", (0.5, fail_over), length="4s")
        outcomes = found.outcomes()
        (said,) = [text for code, _, text, *_ in found.result.anomalies if code == "addresses"]
        assert said.index(str(pair.primary)) < said.index(str(pair.standby))
        with psycopg.connect(host="127.0.0.1", port=pair.standby, user="postgres") as admin:
            ((kept,),) = admin.execute("SELECT count(*) FROM written").fetchall()
        assert outcomes[Outcome.OK] > 100, "well before the end they are at work again"
        assert kept > 0
