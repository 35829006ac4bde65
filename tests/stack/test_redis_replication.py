"""A Redis of several servers that we start: a primary, replicas and Sentinels, one target of a scenario."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError
from bench.registry import PRIMARY, REPLICA, SENTINEL
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.probes.redis import RespClient
from bench.stack.roles import current_roles
from bench.stack.services.redis_replication import watched_by
from bench.stack.stack_file import StackFile, load_stack_file
from chaos.schedule import planned_faults
from tests.helpers.waiting import eventually

Read = Callable[[str], StackFile]
SERVERS = ("sessions#1", "sessions#2", "sessions#3")
SENTINELS = ("sessions.sentinel#1", "sessions.sentinel#2", "sessions.sentinel#3")
SCENARIO = """\
scenario: hit
purpose: a server is hit by its role
workloads:
  - name: load
    target: sessions
    driver: redis
    operations: {{get: {{command: [GET, a]}}}}
    arrivals: constant
    rate: 50/s
phases: [{{name: steady, for: 20s}}]
faults:
  - {fault}
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of_place(place: str) -> StackFile:
        file = tmp_path / "stack.yaml"
        kept = "{save: '', appendonly: 'no'}"
        file.write_text(
            f"stack: replicated\ntargets:\n  sessions: {{kind: redis, embedded: {place}, settings: {kept}}}\n"
        )
        return load_stack_file(file)

    return of_place


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("replicated")
    file = folder / "stack.yaml"
    place = "{replicas: 2, sentinels: 3, down_after: 300ms}"
    file.write_text(f"stack: replicated\ntargets:\n  sessions: {{kind: redis, embedded: {place}}}\n")
    with AssembledStack(load_stack_file(file), {"sessions"}, folder) as up:
        yield up


def role_of(stack: AssembledStack, name: str) -> str:
    return current_roles("sessions", stack.targets(), stack.topology())[name]


def primary_of(stack: AssembledStack) -> str:
    roles = current_roles("sessions", stack.targets(), stack.topology())
    (found,) = (name for name, role in roles.items() if role == PRIMARY)
    return found


def test_the_target_is_where_its_sentinels_say_and_its_processes_are_targets_too(
    stack: AssembledStack,
) -> None:
    targets = stack.targets()
    assert set(targets) == {"sessions", *SERVERS, *SENTINELS}
    assert targets["sessions"].located(5.0).address in {targets[name].address for name in SERVERS}
    assert {row.name: row.state for row in stack.health()} == dict.fromkeys(targets, "up")
    assert all(role_of(stack, name) == SENTINEL for name in SENTINELS)


def test_what_the_primary_takes_its_replicas_have(stack: AssembledStack) -> None:
    with RespClient.logged_in(stack.targets()["sessions"], 5.0) as server:
        server.ask("SET", "told", "yes")
        assert server.ask("WAIT", "2", "5000") == 2
    replica = next(name for name in SERVERS if role_of(stack, name) == REPLICA)
    with RespClient.logged_in(stack.targets()[replica], 5.0) as server:
        assert server.ask("GET", "told") == "yes"
        assert server.ask_list("ROLE")[0] == "slave"


def test_a_primary_that_stays_away_is_replaced_and_comes_back_as_a_replica(stack: AssembledStack) -> None:
    before = primary_of(stack)
    service = stack.service(before)
    assert service is not None
    service.keep_down()
    pid = next(one.pid for one in stack.describe() if one.name == before)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: primary_of(stack) != before, "another server is the primary")
    service.release()
    up = {"sessions": "up", before: "up"}
    eventually(
        lambda: {row.name: row.state for row in stack.health() if row.name in up} == up, "all are back"
    )
    assert role_of(stack, before) == REPLICA


def test_what_a_sentinel_says_of_a_primary_is_found_among_others() -> None:
    info = (
        "# Sentinel\r\nsentinel_masters:2\r\n"
        "master0:name=orders,status=ok,address=127.0.0.1:1,slaves=1,sentinels=3\r\n"
        "master1:name=sessions,status=odown,address=[::1]:2,slaves=2,sentinels=5\r\n"
    )
    assert watched_by(info, "sessions") == {
        "name": "sessions",
        "status": "odown",
        "address": "[::1]:2",
        "slaves": "2",
        "sentinels": "5",
    }
    assert watched_by(info, "carts") == {}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("{replicas: 2}", "expected Sentinels that watch over the replicas, found none; add sentinels: 3"),
        ("{sentinels: 3}", "expected replicas of which Sentinels can make a primary, found none"),
        ("{replicas: 2, sentinels: 4}", "expected an odd number of Sentinels, found 4"),
        (
            "{replicas: 0, sentinels: 3}",
            "embedded.replicas: expected a whole number 1..5, found",
        ),
    ],
)
def test_replicas_that_nothing_would_follow_are_refused(read: Read, place: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        read(place)
    assert words in str(refused.value)


def test_only_a_redis_has_replicas_yet(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    place = "{replicas: 2, sentinels: 3}"
    file.write_text(f"stack: s\ntargets:\n  db: {{kind: postgres, embedded: {place}}}\n")
    with pytest.raises(ScenarioError, match="expected replicas only of a redis, found postgres"):
        load_stack_file(file)


def loaded(stack: StackFile, tmp_path: Path, fault: str) -> list[tuple[str, str | None]]:
    """The targets and the roles that a fault is planned to hit."""
    file = tmp_path / "hit.yaml"
    file.write_text(SCENARIO.format(fault=fault))
    scenario = load_scenario(file, environment={}, topology=stack.topology).scenario
    return [(one.target, one.role) for one in planned_faults(scenario.faults, 1, stack.topology)]


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        ("{kill: sessions, at: 1s}", ("sessions", PRIMARY)),
        ("{kill: {target: sessions, role: replica, which: random}, at: 1s}", ("sessions", REPLICA)),
        ("{pause: {target: sessions, role: sentinel}, at: 1s, for: 1s}", ("sessions", SENTINEL)),
        ("{failover: sessions, at: 1s}", ("sessions", PRIMARY)),
    ],
)
def test_a_fault_hits_the_primary_or_the_role_that_it_names(
    read: Read, tmp_path: Path, fault: str, hit: tuple[str, str]
) -> None:
    assert loaded(read("{replicas: 2, sentinels: 3}"), tmp_path, fault) == [hit]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "{kill: {target: sessions, role: standby}, at: 1s}",
            'expected a role of sessions: primary, replica, sentinel, found "standby"; name one of those',
        ),
        (
            "{latency: {target: sessions, role: replica}, delay: 5ms, for: 1s, at: 1s}",
            "expected no role with latency, which hits no process, found role; remove it",
        ),
    ],
)
def test_a_role_that_nobody_can_have_is_refused(read: Read, tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        loaded(read("{replicas: 2, sentinels: 3}"), tmp_path, fault)
    assert words in str(refused.value)


def test_a_role_needs_a_target_of_several_servers(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text("stack: s\ntargets:\n  sessions: {kind: redis, embedded: {}}\n")
    with pytest.raises(ScenarioError, match="expected a target of several servers for role: replica"):
        loaded(load_stack_file(file), tmp_path, "{kill: {target: sessions, role: replica}, at: 1s}")
