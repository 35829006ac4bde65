"""The health of targets of every kind in one table."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from click import unstyle

from bench.cli.stack_command import format_uptime, health_table
from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.external import further_services, services_in
from bench.stack.probes.health import ServiceHealth, health_of, probe
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.stack import Stack
from bench.stack.target import Target

StartServer = Callable[[Callable[[socket.socket], None]], int]
FIELDS = {"name", "kind", "address", "state", "detail", "version", "uptime_s", "latency_ns"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with EmbeddedStack({"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as started:
        yield started


def test_a_stack_tells_the_health_of_its_targets(stack: Stack) -> None:
    rows = {row.name: row for row in stack.health()}
    assert rows.keys() == {"redis", "postgres"}
    for row in rows.values():
        assert asdict(row).keys() == FIELDS
        assert row.state == "up"
        assert row.version
        assert row.uptime_s >= 0
        assert row.latency_ns > 0
    assert "connections" in rows["postgres"].detail


def test_a_target_that_is_down_is_an_answer_and_no_error() -> None:
    facts = probe(Target("redis", "redis", "127.0.0.1", free_loopback_port()))
    assert (facts.state, facts.version, facts.uptime_s) == ("down", None, None)
    assert facts.detail.startswith("expected a Redis server, found connection refused")


def test_rows_stand_in_the_order_of_the_targets_and_are_asked_at_once(
    stack: Stack, scripted_server: StartServer
) -> None:
    """Each of these silent ones takes the whole deadline; one after the other they would take three."""
    waiting = []

    def silent(connection: socket.socket) -> None:
        waiting.append(connection)
        while connection.recv(4096):
            pass

    port = scripted_server(silent)
    slow = [Target(f"slow{n}", "redis", "127.0.0.1", port) for n in range(3)]
    rows = health_of([slow[0], stack.targets()["redis"], *slow[1:]], 1.0)
    assert [(row.name, row.state) for row in rows] == [
        ("slow0", "down"),
        ("redis", "up"),
        ("slow1", "down"),
        ("slow2", "down"),
    ]
    assert len(waiting) == 3
    assert health_of([]) == []


def test_a_red_cluster_is_down_with_its_status(scripted_server: StartServer) -> None:
    body = json.dumps({"status": "red", "number_of_nodes": 1}).encode()

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    facts = probe(Target("search", "elasticsearch", "127.0.0.1", scripted_server(behave)))
    assert (facts.state, facts.detail) == ("down", "red, 1 node")


def row(**changes: Any) -> ServiceHealth:
    plain = ServiceHealth("redis", "redis", "127.0.0.1:6379", "up", "fine", "9.1.2", 5.0, 81_200)
    return replace(plain, **changes)


def test_the_table_fits_80_columns_and_shows_details_where_they_matter() -> None:
    rows = [
        row(),
        row(name="search", kind="elasticsearch", address="[::1]:9200", detail="green, 3 nodes"),
        row(name="api", kind="http", state="degraded", detail="says degraded, redis down", uptime_s=None),
        row(
            name="a-very-long-name-of-a-service",
            address="a-host-with-a-long-name.example.internal:5432",
            version="18.4.20261122-nightly",
            state="down",
            detail="expected a Postgres server, found " + "no answer " * 12,
        ),
    ]
    text = health_table(rows, colour=False)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "    at a-host-with-a-long-name.example.internal:5432" in lines
    assert lines[0].split() == ["name", "kind", "address", "state", "uptime", "version", "latency"]
    assert "81.2 µs" in lines[1]
    assert "fine" not in text
    assert "green, 3 nodes" in text
    assert "redis down" in text
    assert "unknown" in text
    coloured = health_table(rows, colour=True)
    assert "\x1b[32mup\x1b[0m" in coloured
    assert "\x1b[31mdown\x1b[0m" in coloured
    assert unstyle(coloured) == text


def test_an_uptime_is_one_number_of_few_letters() -> None:
    assert format_uptime(None) == "unknown"
    assert [format_uptime(s) for s in (0, 119, 120, 7199, 7200, 172_799, 172_800)] == [
        "0 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h",
        "47 h",
        "2 d",
    ]
    assert all(len(format_uptime(s)) <= 7 for s in range(0, 10**6, 997))


def test_further_services_are_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "HOLDFAST_SERVICES",
        "search=elasticsearch://127.0.0.1:9200, graph=neo4j://127.0.0.1 ,edge=proxy://127.0.0.1:80/ping,",
    )
    found = [(target.name, target.kind, target.port) for target in further_services()]
    assert found == [("search", "elasticsearch", 9200), ("graph", "neo4j", 7687), ("edge", "proxy", 80)]
    monkeypatch.delenv("HOLDFAST_SERVICES")
    assert further_services() == []


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["redis://:guess-4711@host"], "an entry without a name"),
        (["a b=redis://:guess-4711@host"], "an entry without a name"),
        (["=redis://:guess-4711@host"], "an entry without a name"),
        (["x=redis://:guess-4711@host", "x=tcp://h:1"], "a second one"),
        (["x=ftp://:guess-4711@host"], "a scheme known here"),
    ],
)
def test_a_wrong_service_is_refused_without_its_secret(entries: list[str], found: str) -> None:
    with pytest.raises(TargetError) as caught:
        services_in(entries, "the command line")
    assert found in str(caught.value)
    assert "guess-4711" not in str(caught.value)
