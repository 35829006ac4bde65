"""A Postgres of several servers that we start: a primary and standbys, one target of a scenario."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.core.errors import ScenarioError
from bench.registry import PRIMARY, STANDBY
from bench.stack.assembled import AssembledStack
from bench.stack.postgres_servers import NoAnswer, ServerConnection, primary_among, states_of
from bench.stack.probes.postgres import conninfo
from bench.stack.roles import current_roles
from bench.stack.services.postgres_replication import ManagedPostgresMember
from bench.stack.stack_file import StackFile, load_stack_file
from tests.helpers.waiting import eventually

SERVERS = ("orders#1", "orders#2", "orders#3")


def stack_file(folder: Path, place: str, kind: str = "postgres") -> StackFile:
    file = folder / "stack.yaml"
    file.write_text(f"stack: replicated\ntargets:\n  orders: {{kind: {kind}, embedded: {place}}}\n")
    return load_stack_file(file)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("replicated")
    with AssembledStack(stack_file(folder, "{standbys: 2, synchronous: true}"), {"orders"}, folder) as up:
        yield up


def member(stack: AssembledStack, name: str) -> ManagedPostgresMember:
    found = stack.service(name)
    assert isinstance(found, ManagedPostgresMember)
    return found


def roles(stack: AssembledStack) -> dict[str, str]:
    return current_roles("orders", stack.targets(), stack.topology())


def test_the_target_is_all_its_hosts_and_its_servers_are_targets_too(stack: AssembledStack) -> None:
    targets = stack.targets()
    assert set(targets) == {"orders", *SERVERS}
    assert targets["orders"].hosts == tuple((targets[name].host, targets[name].port) for name in SERVERS)
    assert targets["orders"].session_attribute == "read-write"
    assert roles(stack) == {"orders#1": PRIMARY, "orders#2": STANDBY, "orders#3": STANDBY}
    assert {row.name: row.state for row in stack.health()} == dict.fromkeys(targets, "up")


def test_what_a_commit_waits_for_is_on_a_standby(stack: AssembledStack) -> None:
    with psycopg.connect(conninfo(stack.targets()["orders"]), autocommit=True) as primary:
        primary.execute("CREATE TABLE kept (id int)")
        assert primary.execute("SHOW synchronous_commit").fetchone() == ("on",)
        waits = primary.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'")
        assert waits.fetchone() == (2,)

    def has_it(name: str) -> bool:
        with ServerConnection(stack.targets()[name], 5.0) as standby:
            return standby.rows(b"SELECT 1 FROM pg_class WHERE relname = 'kept'", 5.0) == [("1",)]

    eventually(lambda: all(map(has_it, SERVERS)), "every server has the table")


def test_a_server_that_is_paused_is_no_answer_within_the_deadline(stack: AssembledStack) -> None:
    pid = next(one.pid for one in stack.describe() if one.name == "orders#3")
    assert pid is not None
    with ServerConnection(stack.targets()["orders#3"], 5.0) as kept:
        backend = int(kept.rows(b"SELECT pg_backend_pid()", 5.0)[0][0] or 0)
        for each in (pid, backend):
            os.kill(each, signal.SIGSTOP)
        try:
            with pytest.raises(NoAnswer, match="orders#3: no answer in time"):
                kept.state(0.2)
            with pytest.raises(NoAnswer):
                ServerConnection(stack.targets()["orders#3"], 0.2)
            assert "orders#3" not in states_of({"orders#3": stack.targets()["orders#3"]}, 0.2)
        finally:
            for each in (backend, pid):
                os.kill(each, signal.SIGCONT)


def test_a_primary_that_was_replaced_comes_back_as_a_copy_of_the_new_one(stack: AssembledStack) -> None:
    targets, old = stack.targets(), member(stack, "orders#1")
    pid = next(one.pid for one in stack.describe() if one.name == "orders#1")
    assert pid is not None
    old.keep_down()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: "orders#1" not in roles(stack), "it is gone")
    old.follow(targets["orders#2"])
    with ServerConnection(targets["orders#2"], 5.0) as new:
        assert new.rows(b"SELECT pg_promote(true, 10)", 15.0) == [("t",)]
        new.rows(b"ALTER SYSTEM SET synchronous_standby_names = ''", 5.0)
        new.rows(b"SELECT pg_reload_conf()", 5.0)
        new.rows(b"CREATE TABLE afterwards (id int)", 5.0)
        assert new.state(5.0).timeline == 2
    member(stack, "orders#3").turn_to(targets["orders#2"])
    old.release()
    wanted = {"orders#1": STANDBY, "orders#2": PRIMARY, "orders#3": STANDBY}
    eventually(lambda: roles(stack) == wanted, "it is a standby", 30.0)
    with ServerConnection(targets["orders#2"], 5.0) as new:
        follows = b"SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: new.rows(follows, 5.0) == [("2",)], "both follow the new primary")
    with ServerConnection(targets["orders#1"], 5.0) as copied:
        has_it = b"SELECT 1 FROM pg_class WHERE relname = 'afterwards'"
        eventually(lambda: copied.rows(has_it, 5.0) == [("1",)], "it has what the new one took")


def test_of_two_that_say_they_are_the_primary_the_newest_timeline_counts(stack: AssembledStack) -> None:
    states = states_of({name: stack.targets()[name] for name in SERVERS}, 5.0)
    assert primary_among({}) is None
    primary = primary_among(states)
    assert primary is not None
    newer = {name: state for name, state in states.items() if name == primary}
    (state,) = newer.values()
    older = type(state)(True, (state.timeline or 0) - 1, state.log_bytes + 1)
    assert primary_among({"older": older, **newer}) == primary


@pytest.mark.parametrize(
    ("kind", "place", "words"),
    [
        ("redis", "{standbys: 1}", "embedded.standbys: expected standbys only of a postgres, found redis"),
        ("postgres", "{synchronous: on}", "expected standbys that a commit can wait for, found none"),
        ("postgres", "{replicas: 2}", "expected replicas only of a redis, found postgres"),
        ("postgres", "{standbys: 1, synchronous: local}", "embedded.synchronous: expected"),
        ("postgres", "{standbys: 0}", "embedded.standbys: expected a whole number 1..5, found"),
    ],
)
def test_what_cannot_be_replicated_so_is_refused(tmp_path: Path, kind: str, place: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        stack_file(tmp_path, place, kind)
    assert words in str(refused.value)
