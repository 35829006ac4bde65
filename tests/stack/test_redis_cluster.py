"""A Redis Cluster that we start, and one that runs already: one cluster for all tests of this file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.registry import PRIMARY, REPLICA
from bench.stack.assembled import AssembledStack
from bench.stack.cluster import SLOTS, ClusterLocator, view_of
from bench.stack.probes.health import probe
from bench.stack.probes.redis import RespClient
from bench.stack.roles import current_roles
from bench.stack.sentinel import NotLocated
from bench.stack.stack_file import load_stack_file
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


def test_a_dead_primary_makes_it_down_until_its_replica_serves_its_slots(stack: AssembledStack) -> None:
    board, victim = stack.targets()["board"], "board#2"
    service = stack.service(victim)
    assert service is not None
    service.keep_down()
    os.kill(pid_of(stack, victim), signal.SIGKILL)
    eventually(lambda: probe(board, 1.0).state == "down", "the probe finds that a primary is gone")
    eventually(lambda: probe(board, 1.0).state == "degraded", "a replica serves its slots")
    assert roles(stack) == {
        **dict.fromkeys(PRIMARIES - {victim}, PRIMARY),
        **dict.fromkeys(REPLICAS - {"board#5"}, REPLICA),
        "board#5": PRIMARY,
    }
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
