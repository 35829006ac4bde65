"""A Redis Cluster that we start, and one that runs already: one cluster for all tests of this file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.api import Engine
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from bench.registry import PRIMARY, REPLICA
from bench.stack.assembled import AssembledStack
from bench.stack.cluster import SLOTS, ClusterLocator, slot_of, view_of
from bench.stack.probes.health import probe
from bench.stack.probes.redis import RespClient
from bench.stack.roles import current_roles
from bench.stack.sentinel import NotLocated
from bench.stack.stack_file import load_stack_file
from bench.stack.target import Target
from tests.helpers.client_runs import client, plan_of, run
from tests.helpers.waiting import eventually

PRIMARIES = {"board#1", "board#2", "board#3"}
REPLICAS = {"board#4", "board#5", "board#6"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "stack.yaml"
    place = "{cluster: {primaries: 3, replicas: 3}, down_after: 500ms}"
    file.write_text(f"stack: clustered\ntargets:\n  board: {{kind: redis, embedded: {place}}}\n")
    with AssembledStack(load_stack_file(file), {"board"}, folder) as up:
        yield up


def roles(stack: AssembledStack) -> dict[str, str]:
    return current_roles("board", stack.targets(), stack.topology())


def pid_of(stack: AssembledStack, name: str) -> int:
    (pid,) = (each.pid for each in stack.describe() if each.name == name)
    assert pid is not None
    return pid


def attached(folder: Path, *addresses: str) -> AssembledStack:
    file = folder / "attached.yaml"
    nodes = ", ".join(f'"{address}"' for address in addresses)
    file.write_text(f"stack: attached\ntargets:\n  board: {{kind: redis, cluster: [{nodes}]}}\n")
    return AssembledStack(load_stack_file(file), {"board"}, folder)


def test_the_target_is_the_whole_and_its_servers_are_targets_with_roles(stack: AssembledStack) -> None:
    assert set(stack.targets()) == {"board", *PRIMARIES, *REPLICAS}
    assert roles(stack) == dict.fromkeys(PRIMARIES, PRIMARY) | dict.fromkeys(REPLICAS, REPLICA)
    view = stack.targets()["board"].cluster_view(5.0)
    assert view.uncovered == 0
    assert [node.slots for node in view.primaries] == [((0, 5460),), ((5461, 10921),), ((10922, 16383),)]
    assert {node.primary for node in view.replicas} == {node.name for node in view.primaries}
    health = {row.name: row for row in stack.health()}
    assert health["board"].detail == "cluster of 3 primaries, 3 replicas"
    assert all(row.state == "up" for row in health.values())


def test_a_cluster_that_runs_already_is_found_by_one_node_that_answers(
    stack: AssembledStack, tmp_path: Path
) -> None:
    answers = stack.targets()["board#5"].address
    with attached(tmp_path, "127.0.0.1:1", answers) as found:
        (row,) = found.health()
        assert (row.state, row.detail) == ("up", "cluster of 3 primaries, 3 replicas")
        addresses = {stack.targets()[name].address for name in PRIMARIES}
        assert found.targets()["board"].located(5.0).address in addresses


def test_where_no_node_knows_a_cluster_each_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        TargetError, match=r"no node that knows the cluster \(127.0.0.1:1: connection refused"
    ):
        attached(tmp_path, "127.0.0.1:1").start()


def test_a_node_on_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"HOLDFAST_ALLOW_HOSTS=192\.0\.2\.7"):
        attached(tmp_path, "192.0.2.7:7001").start()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="{}abc123", min_size=1, max_size=20))
def test_the_server_has_a_key_in_the_slot_that_we_do(stack: AssembledStack, key: str) -> None:
    with RespClient.of(stack.targets()["board#1"], 5.0) as client:
        assert client.ask("CLUSTER", "KEYSLOT", key) == slot_of(key.encode())


OPERATIONS = {
    "get": {"weight": 50, "command": ["GET", "{key}"]},
    "pair": {"weight": 50, "commands": [["SET", "pair:{seq}", "1"], ["GET", "pair:{seq}"]]},
}


def engine_of(plan: Plan, target: Target) -> Engine:
    workload = plan.workloads[0]
    return (
        client(plan, target) if workload.workload.engine == "client" else WireEngine(plan, workload, target)
    )


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_the_load_follows_a_replica_that_takes_over_in_order_and_loses_nothing(
    stack: AssembledStack, engine: str
) -> None:
    eventually(lambda: probe(stack.targets()["board"], 1.0).state == "up", "nothing is missing")
    view = stack.targets()["board"].cluster_view(5.0)
    replica = view.replicas[0]

    def take_over() -> None:
        with RespClient(replica.host, replica.port, 5.0) as node:
            assert node.ask("CLUSTER", "FAILOVER") == "OK"

    plan = plan_of(
        engine=engine, target="board", pool=9, lanes=9, keys={"count": 300, "preload": True},
        value={"bytes": 16},
        operations=OPERATIONS, rate="300/s", phases={"steady": "2s"},
    )  # fmt: skip
    ran = run(engine_of(plan, stack.targets()["board"]), (0.5, take_over))
    assert set(ran.outcomes()) == {Outcome.OK}
    answers = ran.result.answers.values()
    assert sum(each.misses for each in answers) == 0, "every key is where it was written"
    assert ran.result.counters["redirects"] > 0
    now = stack.targets()["board"].cluster_view(5.0)
    assert replica.name in {node.name for node in now.primaries}


def sizes(board: Target) -> dict[str, int]:
    """How many keys each primary has."""
    found = {}
    for node in board.cluster_view(5.0).primaries:
        with RespClient(node.host, node.port, 5.0) as asked:
            found[node.name] = int(str(asked.ask("DBSIZE")))
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_a_closed_loop_has_every_number_of_the_plan_carried_out_once_by_the_node_of_its_key(
    stack: AssembledStack, threads: int
) -> None:
    board = stack.targets()["board"]
    plan = plan_of(
        engine="wire", target="board", lanes=12, threads=threads, keys=None, arrivals="closed", rate=None,
        operations={"add": {"command": ["INCR", f"once:{threads}:{{seq}}"]}}, phases={"steady": "300ms"},
    )  # fmt: skip
    before = sizes(board)
    ran = run(engine_of(plan, board))
    after = sizes(board)
    gained = [after[name] - before[name] for name in before]
    assert set(ran.outcomes()) == {Outcome.OK}
    assert min(gained) > 0
    assert sum(gained) == ran.outcomes()[Outcome.OK]
    assert ran.result.counters["redirects"] == 0


def test_a_workload_with_fewer_lanes_than_primaries_is_refused(stack: AssembledStack) -> None:
    plan = plan_of(
        engine="wire", target="board", lanes=2, keys=None, operations={"a": {"command": ["GET", "a"]}}
    )
    with pytest.raises(TargetError, match="at least 3 lanes in each thread, one for each primary"):
        engine_of(plan, stack.targets()["board"])


def test_a_dead_primary_makes_it_down_until_its_replica_serves_its_slots(stack: AssembledStack) -> None:
    board = stack.targets()["board"]
    eventually(lambda: probe(board, 1.0).state == "up", "nothing is missing")
    before = roles(stack)
    victim = next(name for name, role in before.items() if role == PRIMARY)
    service = stack.service(victim)
    assert service is not None
    service.keep_down()
    os.kill(pid_of(stack, victim), signal.SIGKILL)
    eventually(lambda: probe(board, 1.0).state == "down", "the probe finds that a primary is gone")
    eventually(lambda: probe(board, 1.0).state == "degraded", "a replica serves its slots")
    after = roles(stack)
    assert victim not in after
    assert [name for name, role in after.items() if role == PRIMARY and before[name] == REPLICA]
    assert sum(role == PRIMARY for role in after.values()) == 3
    service.release()
    eventually(lambda: roles(stack).get(victim) == REPLICA, "the old one comes back as a replica")
    eventually(lambda: probe(board, 1.0).state == "up", "nothing is missing")


def test_the_view_of_a_node_that_is_cut_off_does_not_count_while_another_answers(
    stack: AssembledStack,
) -> None:
    others = [name for name, role in roles(stack).items() if role == PRIMARY]
    lonely = stack.targets()[others[0]]
    with RespClient.of(lonely, 5.0) as client:
        text = str(client.ask("CLUSTER", "NODES"))
    alone = "\n".join(
        line if "myself" in line else line.replace(" connected", " disconnected")
        for line in text.splitlines()
    )
    assert view_of(text, "127.0.0.1").sees_most
    assert not view_of(alone, "127.0.0.1").sees_most


def test_a_view_has_hosts_names_and_ranges_and_leaves_out_slots_that_move() -> None:
    line = "07c3 :7001@17001,node1.local myself,master - 0 0 1 connected 0-5460 7000 [93->-292f] [77-<-e7d1]"
    (node,) = view_of(line, "10.0.0.7").nodes
    assert (node.host, node.port, node.hostname) == ("10.0.0.7", 7001, "node1.local")
    assert node.slots == ((0, 5460), (7000, 7000))
    assert view_of(line, "x").uncovered == SLOTS - 5462
    for wrong in ("07c3 nothing", "07c3 :x@y master - 0 0 1 connected"):
        with pytest.raises(ValueError, match="07c3"):
            view_of(wrong, "x")


def test_a_server_that_is_no_cluster_says_so() -> None:
    with ClusterLocator([("127.0.0.1", 1)], None, None) as nobody, pytest.raises(NotLocated):
        nobody.view(1.0)
