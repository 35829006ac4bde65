"""What a workload has done in its target: once before the load, once after it, and on each new connection."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.core.errors import InterruptedRun, ScenarioError, StatementRefused, TargetError
from bench.drivers.http.wire import perform
from bench.engine.api import steps_at
from bench.results.reader import Run
from bench.run.plugins import Observers
from bench.run.progress import Silent
from bench.run.session import Session
from bench.run.stop_request import StopRequest
from bench.scenario.load import load_scenario
from bench.scenario.workloads import Workload
from bench.stack.probes.connection import dialled
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from tests.helpers.http_server import OK, Answerer, LittleHttp

SCENARIO = """\
scenario: around
purpose: a small run
workloads:
  - name: load
    target: {driver}
    driver: {driver}
    engine: {engine}
    arrivals: constant
    rate: 50/s
{workload}
phases:
  - {{name: steady, for: 300ms}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"postgres", "redis"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened


def run(stack: Stack, folder: Path, workload: str, driver: str, engine: str = "wire", **session: Any) -> Run:
    file = folder / "around.yaml"
    lines = "\n".join(f"    {line}" for line in workload.strip("\n").split("\n"))
    file.write_text(SCENARIO.format(driver=driver, engine=engine, workload=lines))
    return Run.load(Session(stack, folder / "results", Silent(), **session).run(load_scenario(file)))


def rows(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(**libpq_parameters(stack.targets()["postgres"])) as connection:
        found = connection.execute(query)  # type: ignore[arg-type]
        return found.fetchall() if found.description else []


SCHEMA = """
setup:
  - CREATE SCHEMA shop_{run}
  - CREATE TABLE shop_{run}.sold (n bigint); CREATE INDEX ON shop_{run}.sold (n)
connect: ["SET search_path = 'shop_{run}'"]
teardown:
  - CREATE TABLE IF NOT EXISTS sold_before AS SELECT count(*) AS n FROM shop_{run}.sold
  - DROP SCHEMA shop_{run} CASCADE
operations:
  sell: {transaction: ["INSERT INTO sold VALUES ({seq}::bigint)"]}
"""


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_schema_of_the_runs_own_is_there_for_the_load_and_gone_after_it(
    stack: Stack, tmp_path: Path, engine: str
) -> None:
    made = run(stack, tmp_path, SCHEMA, "postgres", engine)
    assert made.record.totals.outcomes["ok"] == 15
    assert [one.code for one in made.record.anomalies if one.code == "teardown_failed"] == []
    assert rows(stack, "SELECT n FROM sold_before") == [(15,)]
    rows(stack, "DROP TABLE sold_before")
    assert rows(stack, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shop%'") == []


def test_teardown_follows_a_run_that_was_interrupted_too(stack: Stack, tmp_path: Path) -> None:
    stop = StopRequest()

    class Impatient:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: stop.ask() if name == "started" else None

    watchers = Observers([Impatient()])  # type: ignore[list-item]
    with pytest.raises(InterruptedRun):
        run(stack, tmp_path, SCHEMA, "postgres", stop=stop, watchers=watchers)
    assert rows(stack, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shop%'") == []
    rows(stack, "DROP TABLE sold_before")


REFUSED = """
setup: [CREATE TABLE half_done (n int), "CREATE TABLE half_done (n jnt)"]
teardown: [DROP TABLE half_done, SELECT nothing]
operations: {one: {sql: SELECT 1}}
"""


def test_a_refused_step_is_told_with_its_place_and_what_was_done_before_it_is_undone(
    stack: Stack, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as refused:
        run(stack, tmp_path, REFUSED, "postgres")
    assert "around.yaml:10:72: workloads[0].setup[1]: expected SQL that the server accepts" in str(
        refused.value
    )
    assert "SQLSTATE 42704" in str(refused.value)
    assert rows(stack, "SELECT to_regclass('half_done')") == [(None,)]
    assert list((tmp_path / "results").glob("*")) == []


def test_a_teardown_that_fails_is_said_in_the_run_with_the_servers_words(
    stack: Stack, tmp_path: Path
) -> None:
    workload = "teardown: [[DEL, a, b], [NOSUCH, secret-word]]\noperations: {p: {command: [PING]}}"
    made = run(stack, tmp_path, workload, "redis")
    said = [one for one in made.record.anomalies if one.code == "teardown_failed"]
    assert len(said) == 1
    assert said[0].severity == "note"
    assert "workloads[0].teardown[1]" in said[0].message
    assert "unknown command" in said[0].message
    assert "secret-word" not in said[0].message


SCRIPT = """
setup: [[SCRIPT, LOAD, "return redis.call('INCR', KEYS[1])"], [SELECT, "5"], [SET, "begun:{run}", 007]]
connect: [[SELECT, "5"]]
operations: {bump: {command: [EVALSHA, 61636018f4e6b5817b89791bbed242f93fa089e3, "1", "counter"]}}
"""


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_commands_load_a_script_and_every_connection_begins_as_it_is_told(
    stack: Stack, tmp_path: Path, engine: str
) -> None:
    made = run(stack, tmp_path, SCRIPT, "redis", engine)
    assert made.record.totals.outcomes["ok"] == 15
    with dialled(stack.targets()["redis"], 5.0) as connection:
        connection.sendall(
            b"SELECT 5\r\nGET counter\r\nGET begun:%d\r\nFLUSHDB\r\n" % (made.record.started.run_label or 0)
        )
        answers = b""
        while answers.count(b"\r\n") < 6:
            answers += connection.recv(4096)
    assert answers == b"+OK\r\n$2\r\n15\r\n$3\r\n007\r\n+OK\r\n"


@pytest.mark.parametrize("engine", ["wire", "client"])
@pytest.mark.parametrize(
    ("driver", "workload"),
    [
        ("redis", "connect: [[SELECT, 99999]]\noperations: {p: {command: [PING]}}"),
        ("postgres", "connect: [SET no_such_setting = 1]\noperations: {p: {sql: SELECT 1}}"),
    ],
)
def test_a_connection_that_cannot_begin_so_is_told_before_any_load(
    stack: Stack, tmp_path: Path, driver: str, workload: str, engine: str
) -> None:
    with pytest.raises(
        ScenarioError, match=r"around.yaml:10:\d+: workloads\[0\].connect\[0\]: .*(DB index|no_such)"
    ):
        run(stack, tmp_path, workload, driver, engine)


def workload_of(*setup: dict[str, Any]) -> Workload:
    return Workload.model_validate(
        {
            "name": "api",
            "target": "api",
            "driver": "http",
            "headers": {"X-Key": "abc", "X-Arrival": "{seq}"},
            "setup": setup,
            "operations": {"get": {"request": {"path": "/"}}},
            "arrivals": "closed",
        }
    )


@pytest.mark.parametrize(
    ("expect", "refused"),
    [
        ({"json": {"$.items[0].count": 1}}, None),
        ({"json": {"$.items[0].count": 2}}, "$.items[0].count: 2"),
        ({"json": {"$.items[0].count": "1"}}, '$.items[0].count: "1"'),
        ({"json": {"$.items[1]": 1}}, "$.items[1]: 1"),
        ({"header": {"x-kind": "cart"}}, None),
        ({"header": {"x-kind": "order"}}, "x-kind: order"),
    ],
)
def test_values_and_headers_of_an_answer_are_expected_of_a_step_too(
    expect: dict[str, Any], refused: str | None
) -> None:
    body = b'{"items": [{"count": 1.0}]}'
    said = b"HTTP/1.1 200 OK\r\nX-Kind: cart\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def behave(client: Answerer) -> None:
        for _ in client.requests():
            client.send(said)

    with contextlib.closing(LittleHttp(behave)) as server:
        workload = workload_of({"path": "/", "expect": expect})
        if refused is None:
            perform(server.target, workload, steps_at("setup", workload.setup))
            return
        with pytest.raises(StatementRefused) as caught:
            perform(server.target, workload, steps_at("setup", workload.setup))
    assert refused in caught.value.expected
    assert '"count": 1.0' in caught.value.found


TAKEN = b"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\ntaken"


def test_requests_are_sent_as_operations_are_and_their_answers_expected() -> None:
    asked: list[tuple[str, str, str | None, str | None, bytes]] = []

    def behave(client: Answerer) -> None:
        for request in client.requests():
            key, arrival = request.headers.get("X-Key"), request.headers.get("X-Arrival")
            asked.append((request.method, request.path, key, arrival, request.body))
            client.send(
                OK if request.path != "/no" else b"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\ntaken"
            )

    with contextlib.closing(LittleHttp(behave)) as server:
        good = workload_of(
            {"method": "POST", "path": "/runs/{run}", "json": {"run": "{run}"}}, {"path": "/ok"}
        )
        perform(server.target, good, steps_at("setup", good.setup), 1795903570172)
        bad = workload_of({"path": "/no"})
        with pytest.raises(StatementRefused, match="409 Conflict: 'taken'") as refused:
            perform(server.target, bad, steps_at("setup", bad.setup))
    assert refused.value.path == ("setup", 0)
    assert asked[0] == ("POST", "/runs/1795903570172", "abc", None, b'{"run":1795903570172}')
    assert asked[1][1] == "/ok"


def test_a_target_that_is_away_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = Target("api", "http", "127.0.0.1", listener.getsockname()[1])
    workload = workload_of({"path": "/"})
    with pytest.raises(TargetError, match=r"setup\[0\].*[Cc]onnection refused"):
        perform(target, workload, steps_at("setup", workload.setup))


@pytest.mark.parametrize(
    ("driver", "lines", "expected"),
    [
        ("redis", "setup: [SELECT 1]", "expected a command as a list of words, found SQL"),
        ("redis", "setup: [[GET, '{key}']]", 'expected no placeholder but {run}, found "{key}"'),
        ("redis", "connect: [[SUBSCRIBE, a]]", "answers exactly once"),
        ("postgres", "setup: [{path: /}]", "expected SQL as text, found a request"),
        ("postgres", "connect: [BEGIN]", 'found "BEGIN"'),
        ("postgres", "setup: 5", "expected a list"),
        ("http", "connect: [{path: /}]", "connect only with the driver redis or redis_pubsub or postgres"),
        ("http", "connect: [{path: /}]", "write login: instead"),
        ("http", "setup: [{path: /, method: GET, body: x, nonsense: 1}]", "nonsense"),
        ("http", "setup: [7]", "expected a request, found SQL"),
    ],
)
def test_steps_that_cannot_be_are_reported_with_their_place(
    tmp_path: Path, driver: str, lines: str, expected: str
) -> None:
    form = {"redis": "command: [PING]", "postgres": "sql: SELECT 1", "http": "request: {path: /}"}[driver]
    target = {"http": "api"}.get(driver, driver)
    file = tmp_path / "around.yaml"
    workload = f"    {lines}\n    operations: {{one: {{{form}}}}}"
    text = SCENARIO.format(driver=driver, engine="wire", workload=workload)
    file.write_text(text.replace(f"target: {driver}", f"target: {target}"))
    with pytest.raises(ScenarioError) as refused:
        load_scenario(file)
    assert expected in str(refused.value)
    assert "around.yaml:10:" in str(refused.value)
