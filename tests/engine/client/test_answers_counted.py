"""What answers brought is counted, the same in both engines: statuses, hits and misses."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bench.core.answers import Answers
from bench.drivers.redis.commands import lookup_of
from bench.engine.wire.engine import WireEngine
from bench.engine.wire.layout import LOOKUP_EACH, LOOKUP_ONE, NO_LOOKUP
from bench.stack.target import Target
from tests.engine.client.conftest import PostgresServer, Server
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.helpers.http_server import Answerer, LittleHttp

ENGINES = ("wire", "client")
SHORT = {"short": "500ms"}


def ran(engine: str, server: Target, **workload: Any) -> Ran:
    plan = plan_of(**({"engine": engine, "phases": SHORT, "pool": 4} | workload))
    return run(WireEngine(plan, plan.workloads[0], server) if engine == "wire" else client(plan, server))


def by_operation(of: Ran, names: tuple[str, ...]) -> dict[str, Answers]:
    """One phase: row is operation."""
    return {names[row]: found for row, found in of.result.answers.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_lookups_of_redis_are_hits_and_misses_and_writes_are_neither(engine: str, server: Server) -> None:
    operations: dict[str, Any] = {
        "fill": {"command": ["SET", "there", "x"]},
        "absent": {"command": ["GET", "never:{seq}"]},
        "present": {"commands": [["SET", "own", "1"], ["GET", "own"]]},
        "several": {"command": ["MGET", "own", "never:1", "never:2"]},
        "empty_hash": {"command": ["HGETALL", "never:3"]},
        "empty_list": {"command": ["LRANGE", "never:4", "0", "-1"]},
        "lock": {"command": ["SET", "own", "1", "NX"]},
    }
    with contextlib.closing(_redis(server)) as redis:
        redis.sendall(b"SET own 1\r\n")
        assert redis.recv(100) == b"+OK\r\n"
    found = ran(engine, server.target, keys=None, operations=operations)
    tallies = found.result.tallies.sum(axis=1)
    answers = by_operation(found, tuple(operations))
    count = dict(zip(operations, map(int, tallies), strict=True))
    assert answers == {
        "absent": Answers(0, count["absent"]),
        "present": Answers(count["present"], 0),
        "several": Answers(count["several"], 2 * count["several"]),
        "empty_hash": Answers(0, count["empty_hash"]),
        "empty_list": Answers(0, count["empty_list"]),
    }
    assert found.seen[-1].answers.misses == sum(one.misses for one in answers.values())


def _redis(server: Server) -> socket.socket:
    return socket.create_connection((server.target.host, server.target.port), timeout=10)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_nulls_of_both_protocol_versions_are_misses(engine: str, protocol: int, server: Server) -> None:
    operations: dict[str, Any] = {"pop": {"command": ["LPOP", "never"]}, "get": {"command": ["GET", "never"]}}
    found = ran(engine, server.target, keys=None, operations=operations, resp=protocol)
    assert Answers.total(found.result.answers.values()).hits == 0
    assert Answers.total(found.result.answers.values()).misses == int(found.result.taken.sum())
    assert found.result.counters["null_replies"] == int(found.result.taken.sum())


@pytest.mark.parametrize("engine", ENGINES)
def test_statements_of_postgres_that_touch_no_row_are_misses(engine: str, postgres: PostgresServer) -> None:
    postgres.execute("DROP TABLE IF EXISTS held", "CREATE TABLE held AS SELECT 1 AS id, 0 AS n")
    operations: dict[str, Any] = {
        "found": {"sql": "SELECT n FROM held WHERE id = {one}"},
        "nothing": {"sql": "SELECT n FROM held WHERE id = {one} + 5"},
        "changed": {"sql": "UPDATE held SET n = n WHERE id = {one}"},
        "unchanged": {"sql": "DELETE FROM held WHERE id = {one} + 5"},
        "mixed": {
            "transaction": ["SELECT n FROM held WHERE id = {one}", "SELECT n FROM held WHERE id = {one} + 5"]
        },
    }
    found = ran(
        engine,
        postgres.target,
        driver="postgres",
        target="postgres",
        keys=None,
        operations=operations,
        parameters={"one": {"from": 1, "to": 1}},
    )
    count = dict(zip(operations, map(int, found.result.tallies.sum(axis=1)), strict=True))
    assert by_operation(found, tuple(operations)) == {
        "found": Answers(count["found"], 0),
        "nothing": Answers(0, count["nothing"]),
        "changed": Answers(count["changed"], 0),
        "unchanged": Answers(0, count["unchanged"]),
        "mixed": Answers(count["mixed"], count["mixed"]),
    }


@pytest.fixture
def web() -> Iterator[Target]:
    """Answers each path with the status that it names."""

    def behave(answerer: Answerer) -> None:
        for one in answerer.requests():
            status = one.path.removeprefix("/").encode()
            answerer.send(b"HTTP/1.1 %s Said\r\nContent-Length: 2\r\n\r\nok" % status)

    server = LittleHttp(behave)
    yield server.target
    server.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_of_http_are_counted_by_status_whatever_their_outcome(engine: str, web: Target) -> None:
    operations: dict[str, Any] = {
        f"s{status}": {"request": {"path": f"/{status}"}} for status in (200, 201, 302, 404, 503, 599)
    }
    operations["wanted"] = {"request": {"path": "/418", "expect": {"status": 418}}}
    found = ran(engine, web, driver="http", target="api", keys=None, operations=operations)
    count = dict(zip(operations, map(int, found.result.tallies.sum(axis=1)), strict=True))
    assert by_operation(found, tuple(operations)) == {
        name: Answers(statuses={418 if name == "wanted" else int(name[1:]): count[name]})
        for name in operations
        if count[name]
    }


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("get", "a"), LOOKUP_ONE),
        (("JSON.GET", "a"), LOOKUP_ONE),
        (("MGET", "a", "b"), LOOKUP_EACH),
        (("JSON.MGET", "a"), LOOKUP_EACH),
        (("SET", "a", "b"), NO_LOOKUP),
        (("PING",), NO_LOOKUP),
        (("{key}",), NO_LOOKUP),
    ],
)
def test_commands_that_look_something_up_are_known_by_name(command: tuple[str, ...], kind: int) -> None:
    assert lookup_of(command) == kind
