"""Targets that Sentinels find: a real Sentinel, a primary and a replica that changes places with it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError, TargetError
from bench.stack.assembled import AssembledStack
from bench.stack.probes.redis import ErrorReply, RespClient, probe_redis
from bench.stack.sentinel import NotLocated, PrimaryLocator, Sentinels, endpoint_of
from bench.stack.services.programs import find_server_binary
from bench.stack.stack_file import load_stack_file
from tests.helpers.command_line import Bench
from tests.helpers.waiting import COMPILE_S, eventually

WORD = "sentinels-own"


@dataclass
class Topology:
    """A primary, its replica, and one Sentinel that both and a password of its own are known to."""

    sentinel: int
    servers: tuple[int, int]

    @property
    def sentinels(self) -> Sentinels:
        """As a target has it: the first in the list is a port at which nothing listens."""
        return Sentinels((("127.0.0.1", free_port()), ("127.0.0.1", self.sentinel)), "orders", password=WORD)

    def hurry(self) -> None:
        """Have the Sentinel look ten times as often as it would."""
        with RespClient("127.0.0.1", self.sentinel, 5.0) as sentinel:
            sentinel.ask("AUTH", WORD)
            for period in ("INFO-PERIOD", "PING-PERIOD"):
                sentinel.ask("SENTINEL", "DEBUG", period, "100")

    def fail_over(self) -> None:
        def is_begun() -> bool:
            with RespClient("127.0.0.1", self.sentinel, 5.0) as sentinel:
                sentinel.ask("AUTH", WORD)
                try:
                    sentinel.ask("SENTINEL", "FAILOVER", "orders")
                except ErrorReply:  # it has not heard of the replica for a while
                    return False
            return True

        eventually(is_begun, "the Sentinel has a replica to promote")

    def knows_the_replica(self) -> bool:
        with RespClient("127.0.0.1", self.servers[0], 5.0) as primary:
            return "slave0:" in str(primary.ask("INFO", "replication"))


def located(sentinels: Sentinels, timeout_s: float = 5.0) -> tuple[str, int]:
    with PrimaryLocator(sentinels) as locator:
        return locator.locate(timeout_s)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    folder = tmp_path_factory.mktemp("topology")
    first, second, watcher = free_port(), free_port(), free_port()
    program = str(find_server_binary().path)
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {watcher}\nbind 127.0.0.1\nrequirepass {WORD}\n"
        f"sentinel monitor orders 127.0.0.1 {first} 1\nsentinel failover-timeout orders 3000\n"
    )
    plain = ("--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
    commands = (
        (program, "--port", str(first), *plain),
        (program, "--port", str(second), *plain, "--replicaof", "127.0.0.1", str(first)),
        (program, str(config), "--sentinel"),
    )
    with ExitStack() as cleanup:
        for command in commands:
            server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
            cleanup.callback(server.wait)
            cleanup.callback(server.kill)
        made = Topology(watcher, (first, second))
        eventually(lambda: answers(first) and answers(watcher), "the servers answer")
        eventually(made.knows_the_replica, "the replica follows")
        made.hurry()
        yield made


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_first_sentinel_that_knows_the_primary_is_asked_first_from_then_on(topology: Topology) -> None:
    with PrimaryLocator(topology.sentinels) as locator:
        found = [locator.locate(5.0) for _ in range(3)]
    assert found[0][0] == "127.0.0.1"
    assert found[0][1] in topology.servers
    assert found == [found[0]] * 3


def test_what_each_sentinel_said_is_in_the_error(topology: Topology) -> None:
    closed = free_port()
    unknown = Sentinels((("127.0.0.1", closed), ("127.0.0.1", topology.sentinel)), "other", password=WORD)
    with pytest.raises(NotLocated) as failed:
        located(unknown)
    assert f"127.0.0.1:{closed}: connection refused" in str(failed.value)
    assert f"127.0.0.1:{topology.sentinel}: it does not know that name" in str(failed.value)
    stranger = Sentinels((("127.0.0.1", topology.sentinel),), "orders", password="wrong-one")
    with pytest.raises(NotLocated, match="WRONGPASS") as refused:
        located(stranger)
    assert "wrong-one" not in str(refused.value)


NO_SENTINELS = (b"", b"+OK\r\n", b"*1\r\n$1\r\nx\r\n", b"HTTP/1.1 400\r\n\r\n", b"-ERR no\r\n")


@pytest.mark.parametrize("answer", NO_SENTINELS)
def test_what_is_no_sentinel_is_no_answer(
    answer: bytes, scripted_server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    port = scripted_server(behave)
    with pytest.raises(NotLocated, match=f"127.0.0.1:{port}: "):
        located(Sentinels((("127.0.0.1", port),), "orders"), 0.2)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("db1:26380", ("db1", 26380)),
        ("db1", ("db1", 26379)),
        ("[::1]:26380", ("::1", 26380)),
        ("user@db1:1", None),
        ("db1:port", None),
        ("db1/0", None),
        ("db1:0", None),
        ("", None),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(text: str, endpoint: tuple[str, int] | None) -> None:
    assert endpoint_of(text) == endpoint


STACK = """\
stack: staging
targets:
  orders:
    kind: redis
    sentinel: {{addresses: ["{address}"], primary: {primary}, sentinel_password: "${{WORD}}"}}
"""


def test_a_stack_file_finds_its_target_through_sentinels(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD", WORD)
    file = tmp_path / "stack.yaml"
    file.write_text(STACK.format(address=f"127.0.0.1:{topology.sentinel}", primary="orders"))
    with AssembledStack(load_stack_file(file), {"orders"}, tmp_path) as stack:
        (described,) = stack.describe()
        target = stack.targets()["orders"]
        assert target.port in topology.servers
        assert described.address == target.address
        assert probe_redis(target).role == "master"
        assert WORD not in repr(target)
    file.write_text(STACK.format(address=f"127.0.0.1:{topology.sentinel}", primary="other"))
    with (
        pytest.raises(TargetError, match="target orders at other of the Sentinels at") as failed,
        AssembledStack(load_stack_file(file), {"orders"}, tmp_path),
    ):
        pass
    assert "it does not know that name" in str(failed.value)
    assert WORD not in str(failed.value)


def test_sentinels_and_primaries_on_other_machines_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(STACK.replace("${{WORD}}", "x").format(address="192.0.2.7", primary="orders"))
    loaded = load_stack_file(file)
    assert loaded.described["orders"].sentinels == Sentinels((("192.0.2.7", 26379),), "orders", None, "x")
    assert "holds a password" in loaded.warnings[0]
    with pytest.raises(TargetError, match=re.escape("HOLDFAST_ALLOW_HOSTS=192.0.2.7")):
        AssembledStack(loaded, {"orders"}, tmp_path).start()


def test_what_a_stack_file_cannot_mean_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(
        "stack: staging\n"
        "targets:\n"
        "  a: {kind: postgres, sentinel: {addresses: [x], primary: y}}\n"
        '  b: {kind: redis, sentinel: {addresses: ["x:y"], primary: y}}\n'
        '  c: {kind: redis, cluster: ["127.0.0.1"]}\n'
        '  d: {kind: postgres, cluster: ["127.0.0.1:7001"]}\n'
        "  e: {kind: redis, embedded: {cluster: {primaries: 3, replicas: 2}, replicas: 2, sentinels: 3}}\n"
    )
    with pytest.raises(ScenarioError) as refused:
        load_stack_file(file)
    first, second, third, fourth, *last = map(str, refused.value.problems)
    assert re.search(r"stack.yaml:3:\d+: .*expected sentinel only of a redis, found postgres", first)
    assert re.search(r'stack.yaml:4:\d+: .*expected host:port, found "x:y"', second)
    assert re.search(
        r'stack.yaml:5:\d+: .*expected host:port, found "127.0.0.1"; such as 127.0.0.1:7001', third
    )
    assert re.search(r"stack.yaml:6:\d+: .*expected cluster only of a redis, found postgres", fourth)
    assert "expected either a cluster, or replicas and sentinels" in last[0]
    assert "expected as many replicas of each primary, or none, found 2" in last[1]


SCENARIO = """\
scenario: orders
purpose: Lanes follow a primary that moves
workloads:
  - name: ENGINE
    target: orders
    driver: redis
    engine: ENGINE
    operations: {set: {command: [SET, "ENGINE:{seq}", x]}}
    arrivals: constant
    rate: 200/s
    deadline: 500ms
phases: [{name: steady, for: 60s}]
sla: [ENGINE.errors < 90%]
"""


@pytest.mark.long
@pytest.mark.parametrize("engine", ["wire", "client"])
def test_lanes_follow_a_primary_that_moves(topology: Topology, tmp_path: Path, engine: str) -> None:
    bench = Bench(tmp_path)
    stack = bench.scenario(STACK.format(address=f"127.0.0.1:{topology.sentinel}", primary="orders"), "s.yaml")
    scenario = bench.scenario(SCENARIO.replace("ENGINE", engine))
    before = located(topology.sentinels)
    command = ("run", scenario, "--stack", stack, "--out", bench.results, "--json")
    with bench.start(*command, WORD=WORD) as process:
        keys_come_at(before)
        topology.fail_over()
        keys_come_at(eventually(lambda: moved_from(topology, before), "the primary moves"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=COMPILE_S)
    assert process.returncode == 130, err


def keys_come_at(server: tuple[str, int], count: int = 20) -> None:
    """Wait until so many more keys are there."""
    with RespClient(*server, 2 * COMPILE_S) as asked:
        before = int(asked.ask("DBSIZE") or 0)
        eventually(lambda: int(asked.ask("DBSIZE") or 0) >= before + count, "the load flows", COMPILE_S)


def moved_from(topology: Topology, before: tuple[str, int]) -> tuple[str, int] | None:
    now = located(topology.sentinels)
    return None if now == before else now
