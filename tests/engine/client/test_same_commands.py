"""Both engines send the same commands for the same seed."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator

import hiredis

from bench.drivers.redis.commands import CommandWords
from bench.drivers.templates import Draws, Vocabulary
from bench.engine.client.pool import PendingRequest, RunClock
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from bench.stack.target import Target
from tests.helpers.client_runs import client, plan_of, run

OPERATIONS = {
    "get": {"command": ["GET", "{key}"], "weight": 4},
    "set": {"command": ["SET", "{key}", "{value}"], "weight": 2},
    "odd": {"command": ["SET", "100%-{key}:{seq}%d", "a{value}b"]},
    "text": {
        "commands": [
            ["HSET", "h:{uuid}", "{{colour}}", "{colour}", "n", "{size}", "{{{shade}}}", "{letters}{shade}"],
            ["SADD", "days:{day}", "{shade}"],
            ["MSET", "{user.name}", "{user.age}", "o:{other.name}", "{turn.n}"],
        ],
        "weight": 4,
    },
    "pair": {"commands": [["INCR", "n:{seq}"], ["EXPIRE", "{key}", "60"]]},
}
OURS = (b"CLIENT", b"PING", b"INFO", b"HELLO")


class Recorder:
    """A server that writes down every command and answers each with an integer."""

    def __init__(self, listener: socket.socket) -> None:
        self.commands: list[tuple[bytes, ...]] = []
        self._listener = listener
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    name = command[0].upper()
                    if name not in OURS:
                        with self._guard:
                            self.commands.append(tuple(command))
                    greeting = {b"PING": b"+PONG\r\n", b"INFO": b"$0\r\n\r\n", b"CLIENT": b"+OK\r\n"}
                    connection.sendall(greeting.get(name, b"+OK\r\n" if name == b"SET" else b":1\r\n"))


@contextlib.contextmanager
def recorder() -> Iterator[tuple[Recorder, Target]]:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        recording = Recorder(listener)
        thread = threading.Thread(target=recording.serve, daemon=True)
        thread.start()
        yield recording, Target("redis", "redis", "127.0.0.1", listener.getsockname()[1])
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def plan_for(engine: str, seed: int) -> Plan:
    return plan_of(
        engine=engine,
        seed=seed,
        arrivals="poisson",
        operations=OPERATIONS,
        keys={"count": 1000, "distribution": "zipf", "exponent": 1.1, "prefix": "%k:"},
        value={"bytes": 40},
        parameters={
            "colour": {"pick": ["red", "ultramarine", "", "grün"]},
            "size": {"pick": [1, 2.5, 400]},
            "shade": {"pick": ["%s", "dark"], "distribution": "zipf"},
            "letters": {"text": 23},
            "day": {"date": {"from": "2024-02-27", "to": "2024-03-01"}},
        },
        feeds={
            "user": {"columns": {"name": ["ann", "bo"], "age": [7, 77]}, "order": "random"},
            "other": {"columns": {"name": [f"n{row}" for row in range(9)]}, "order": "shuffled"},
            "turn": {"columns": {"n": ["first", "second", "third"]}},
        },
        phases={"short": "1s"},
    )


def sent(engine: str, seed: int) -> list[tuple[bytes, ...]]:
    plan = plan_for(engine, seed)
    with recorder() as (recording, target):
        ran = run(client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target))
        ran.assert_adds_up() if engine == "client" else None
        return sorted(recording.commands)


def test_both_engines_send_the_same_commands_for_one_seed() -> None:
    through_client = sent("client", 7)
    assert len(through_client) > 100
    assert through_client == sent("wire", 7)
    assert through_client != sent("client", 8)


def test_texts_are_among_those_that_the_scenario_has() -> None:
    everything = sent("wire", 7)
    written = [command for command in everything if command[0] == b"HSET"]
    assert len(written) > 40
    assert {command[2] for command in written} == {b"{colour}"}
    assert {command[3] for command in written} == {b"red", b"ultramarine", b"", "grün".encode()}
    assert {command[5] for command in written} == {b"1", b"2.5", b"400"}
    assert {command[6] for command in written} == {b"{%s}", b"{dark}"}
    assert {len(command[7]) for command in written} == {25, 27}
    assert all(command[7][:23].isalnum() for command in written)
    ids = {command[1] for command in written}
    assert len(ids) == len(written), "each arrival has one of its own"
    assert all(uuid.UUID(name[2:].decode()).version == 4 for name in ids)
    rows = [command for command in everything if command[0] == b"MSET"]
    assert {command[1:3] for command in rows} == {(b"ann", b"7"), (b"bo", b"77")}, "columns of one row"
    assert {command[4] for command in rows} == {b"first", b"second", b"third"}
    assert {command[3] for command in rows} == {b"o:n%d" % row for row in range(9)}
    days = {command[1] for command in everything if command[0] == b"SADD"}
    assert days == {b"days:2024-02-27", b"days:2024-02-28", b"days:2024-02-29", b"days:2024-03-01"}


def test_words_are_the_templates_words() -> None:
    """Numbers stand where the wire engine writes them; percent signs are no forms; wide ones are cut."""
    plan = plan_for("client", 1).workloads[0]
    clock = RunClock()
    vocabulary, draws = Vocabulary(plan.workload, plan.seed), Draws(plan, clock)

    def render(operation: str, arrival: int, key: int) -> list[list[str | bytes]]:
        commands = plan.workload.operations[operation].all_commands
        ticket = PendingRequest(0, 0, 0, key, arrival)
        return [CommandWords.of(command, vocabulary, draws).render(ticket) for command in commands]

    (words,) = render("odd", 1_234_567_890_123_456, 42)
    assert words[0] == "SET"
    assert words[1] == b"100%-%k:042:567890123456%d"
    assert words[2][:13] == b"a567890123456"
    assert len(words[2]) == 42
    assert render("pair", 5, 0)[0] == ["INCR", b"n:000000000005"]
    assert render("pair", 5, 999)[1] == ["EXPIRE", b"%k:999", b"60"]
    odd = CommandWords.of(plan.workload.operations["odd"].all_commands[0], vocabulary, draws)
    assert odd.render(PendingRequest(0, 0, 0, 42, 7))[1] == b"100%-%k:042:000000000007%d"
    assert odd.render(PendingRequest(0, 0, 0, 2, 1))[1] == b"100%-%k:002:000000000001%d", (
        "rendering leaves the template alone"
    )
