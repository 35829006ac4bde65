"""Redirections of a Redis Cluster, and its refusals: the same in both engines, wherever an answer is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from bench.core.outcome import Outcome
from bench.engine.api import Engine
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from bench.stack.cluster import slot_of
from bench.stack.target import Target
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.parity.parity_runs import ENGINES
from tests.parity.raw_servers import GREETINGS, Answer, Link, RawServer

KEY = "a"
SLOT = slot_of(KEY.encode())
FOUND = b"$5\r\nhello\r\n"
LONGEST = len(b"-MOVED 15495 127.0.0.1:65535\r\n")
COMMANDS = b"*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"

Says = Callable[["Node", bool], bytes]
"""What a node answers to GET, by whether ASKING came before it."""


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


class Node:
    """One of two nodes, which says what it is told about the key; the first serves its slot, as both say."""

    def __init__(self, says: Says, cuts: Iterator[int]) -> None:
        self._says, self._cuts = says, cuts
        self.asked = 0
        self.nodes: tuple[Node, ...] = ()
        self.server = RawServer(self._serve)

    @property
    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def redirects_to(self, word: str, other: Node) -> bytes:
        return f"-{word} {SLOT} 127.0.0.1:{other.server.port}\r\n".encode()

    def _view(self) -> bytes:
        lines = []
        for number, (node, slots) in enumerate(zip(self.nodes, ("8192-16383", "0-8191"), strict=True)):
            flags = "myself,master" if node is self else "master"
            name = f"{number:040d}"
            lines.append(f"{name} 127.0.0.1:{node.server.port}@1 {flags} - 0 0 {number} connected {slots}")
        return bulk("\n".join(lines) + "\n")

    def _slots(self) -> bytes:
        rows = [
            b"*3\r\n:%d\r\n:%d\r\n*3\r\n%s:%d\r\n%s"
            % (first, last, bulk("127.0.0.1"), node.server.port, bulk(f"{number:040d}"))
            for number, (node, first, last) in enumerate(
                zip(self.nodes, (8192, 0), (16383, 8191), strict=True)
            )
        ]
        return b"*2\r\n" + b"".join(rows)

    def _serve(self, link: Link) -> None:
        is_asking = False
        while True:
            words = [link.take(int(link.line()[1:]) + 2)[:-2] for _ in range(int(link.line()[1:]))]
            command = b" ".join(words[:2] if words[0].upper() == b"CLUSTER" else words[:1]).upper()
            if command == b"GET":
                self.asked += 1
                link._cut = next(self._cuts)
                link.give(Answer(self._says(self, is_asking)))
            else:
                own = {b"CLUSTER NODES": self._view, b"CLUSTER SLOTS": self._slots}
                said = own[command]() if command in own else GREETINGS.get(command, b"+OK\r\n")
                link.socket.sendall(COMMANDS if command == b"COMMAND" else said)
            is_asking = command == b"ASKING"


def ran_with(engine: str, first: Says, second: Says) -> tuple[Ran, Node, Node]:
    """A run that asks for one key; every answer about it is sent in pieces of another size."""

    def sizes() -> Iterator[int]:
        while True:
            yield from range(1, LONGEST)

    plan = plan_of(
        engine=engine, pool=8, lanes=8, keys=None, operations={"get": {"command": ["GET", KEY]}},
        phases={"steady": "500ms"}, deadline="1s",
    )  # fmt: skip
    with ExitStack() as cleanup:
        nodes = Node(first, sizes()), Node(second, sizes())
        for node in nodes:
            node.nodes = nodes
            cleanup.callback(node.server.close)
        target = Target("redis", "redis", *nodes[0].place, nodes=tuple(node.place for node in nodes))
        return run(made(engine, plan, target)), *nodes


def made(engine: str, plan: Plan, target: Target) -> Engine:
    return client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_has_moved_is_asked_of_the_node_that_was_named(engine: str) -> None:
    def moved(node: Node, _: bool) -> bytes:
        return node.redirects_to("MOVED", node.nodes[1])

    ran, old, new = ran_with(engine, moved, lambda *_: FOUND)
    assert set(ran.outcomes()) == {Outcome.OK}
    assert new.asked == ran.outcomes()[Outcome.OK]
    assert ran.result.counters["redirects"] == old.asked > 0
    assert ran.result.counters["lost_connections"] == 0
    if engine == "wire":  # its table is the cluster's own, which here never changes
        assert old.asked == new.asked


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_moving_is_asked_of_the_named_node_with_asking_and_of_the_old_one_first(engine: str) -> None:
    def ask(node: Node, _: bool) -> bytes:
        return node.redirects_to("ASK", node.nodes[1])

    ran, old, new = ran_with(engine, ask, lambda _, is_asking: FOUND if is_asking else b"-ERR not asked\r\n")
    assert set(ran.outcomes()) == {Outcome.OK}
    assert old.asked == new.asked == ran.outcomes()[Outcome.OK] == ran.result.counters["redirects"]


@pytest.mark.parametrize("engine", ENGINES)
def test_nodes_that_name_each_other_for_ever_are_an_error_after_five_redirections(engine: str) -> None:
    def circle(node: Node, _: bool) -> bytes:
        return node.redirects_to("MOVED", node.nodes[1 - node.nodes.index(node)])

    ran, one, other = ran_with(engine, circle, circle)
    asked = one.asked + other.asked
    assert set(ran.outcomes()) == {Outcome.ERROR}
    assert asked == 6 * ran.outcomes()[Outcome.ERROR]
    assert all(error.text.startswith("MOVED ") for error in ran.result.errors)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "said",
    [
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "LOADING Redis is loading the dataset in memory",
    ],
)
def test_what_a_cluster_refuses_is_an_error_of_the_arrival_and_asked_once(engine: str, said: str) -> None:
    ran, old, new = ran_with(engine, lambda *_: f"-{said}\r\n".encode(), lambda *_: FOUND)
    assert set(ran.outcomes()) == {Outcome.ERROR}
    assert (old.asked, new.asked) == (ran.outcomes()[Outcome.ERROR], 0)
    assert [error.text for error in ran.result.errors] == [said]
    assert ran.result.counters["redirects"] == 0
