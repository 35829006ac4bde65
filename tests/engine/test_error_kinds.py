"""Errors that differ only in the values they name are counted as one kind, the same in every engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.answers import ErrorCount, ErrorKinds, kind_of
from bench.engine.api import EngineResult
from bench.engine.wire.recording import write_kind
from bench.protocols.state import TEXT_BYTES
from bench.results.load_records import ErrorRecord
from bench.stack.stack import Stack, open_stack
from bench.swarm.distributed.sums import merged_result
from tests.engine.runs import plan_of, run
from tests.helpers.client_runs import client
from tests.helpers.client_runs import plan_of as client_plan_of
from tests.helpers.client_runs import run as run_client
from tests.helpers.servers import LittleServer, Talk


def compiled_kind(text: str) -> str:
    content = text.encode("ascii")[:TEXT_BYTES]
    kind = np.zeros(TEXT_BYTES, dtype=np.uint8)
    size = write_kind(np.frombuffer(content.ljust(TEXT_BYTES, b"\0"), dtype=np.uint8), len(content), kind)
    return kind[:size].tobytes().decode()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MOVED 3999 127.0.0.1:6381", "MOVED # #"),
        ("MOVED 12 node-3.internal:6379", "MOVED # #"),
        ("ASK 3999 [::1]:6381", "ASK # [::#]:#"),
        ("ERR unknown command 'FOO'", "ERR unknown command 'FOO'"),
        (
            '22P02 invalid input syntax for type integer: "x12"',
            '22P02 invalid input syntax for type integer: "#"',
        ),
        ("40P01 deadlock detected", "40P01 deadlock detected"),
        ("HTTP 503", "HTTP 503"),
        ("no 550e8400-e29b-41d4-a716-446655440000 here.", "no # here."),
        ("orders_2 is 1.5 behind", "orders_# is # behind"),
        ("", ""),
    ],
)
def test_a_kind_has_a_mark_for_each_value_and_keeps_its_code(text: str, kind: str) -> None:
    assert kind_of(text) == kind == compiled_kind(text)
    assert kind_of(kind) == kind


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="HTP MOVED0123ab.:-_'\"[]#?", max_size=TEXT_BYTES))
def test_compiled_code_and_python_find_the_same_kind(text: str) -> None:
    assert kind_of(text) == compiled_kind(text)
    assert kind_of(kind_of(text)) == kind_of(text)


def test_a_text_that_never_varied_stays_as_it_was_said() -> None:
    kinds = ErrorKinds()
    for _ in range(3):
        kinds.add("get", "ERR slot 5 is away")
    assert kinds.entries() == [ErrorCount("get", "ERR slot 5 is away", 3)]
    kinds.add("get", "ERR slot 6 is away")
    assert kinds.entries() == [ErrorCount("get", "ERR slot # is away", 4, "ERR slot 5 is away")]
    assert (
        ErrorRecord.read(kinds.entries()[0].to_json()).shown
        == "ERR slot # is away (such as: ERR slot 5 is away)"
    )


def test_kinds_beyond_the_most_are_others() -> None:
    kinds = ErrorKinds(2)
    for text in ("a", "b", "c", "d", "b"):
        kinds.add("get", text)
    assert {entry.text: entry.count for entry in kinds.entries()} == {"a": 1, "b": 2, "other errors": 2}


def answering(word: bytes) -> Callable[[Talk], None]:
    """Sends every command to another slot."""
    numbers = itertools.count()
    greetings = {b"PING": b"+PONG\r\n", b"INFO": b"$0\r\n\r\n", b"GET": b""}

    def behave(talk: Talk) -> None:
        for command in talk.commands():
            redirection = b"-%s %d 127.0.0.1:%d\r\n" % (word, next(numbers), 6381 + next(numbers) % 3)
            talk.send(greetings.get(command[0], b"+OK\r\n") or redirection)

    return behave


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
@pytest.mark.parametrize("engine", ["wire", "client"])
def test_redirections_of_a_cluster_are_one_error(
    serve: Callable[..., LittleServer], engine: str, word: str
) -> None:
    target = serve(answering(word.encode()), lambda _: True).target
    operations: dict[str, Any] = {"get": {"command": ["GET", "a"]}}
    if engine == "wire":
        result = run(plan_of(operations=operations, threads=2), target).result
    else:
        plan = client_plan_of(operations=operations, keys=None, phases={"short": "500ms"})
        result = run_client(client(plan, target)).result
    (error,) = result.errors
    assert (error.text, error.count) == (f"{word} # #", int(result.taken.sum()))
    assert error.example.startswith(f"{word} ")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"postgres"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_errors_of_postgres_that_name_a_value_are_one_error(stack: Stack, engine: str) -> None:
    target = stack.targets()["postgres"]
    given_: dict[str, Any] = {
        "driver": "postgres",
        "target": "postgres",
        "operations": {"ask": {"sql": "SELECT ('x' || {n})::int"}},
        "parameters": {"n": {"count": 1000}},
    }
    if engine == "wire":
        result = run(plan_of(({"name": "s", "for": "300ms"},), **given_), target).result
    else:
        plan = client_plan_of(**given_, keys=None, phases={"short": "300ms"})
        result = run_client(client(plan, target)).result
    assert [error.text for error in result.errors] == ['22P02 invalid input syntax for type integer: "#"']


def test_workers_that_met_other_values_are_merged_to_one_kind() -> None:
    def result(text: str, example: str | None = None) -> EngineResult:
        none = np.zeros((1, 6), dtype=np.int64)
        errors = [ErrorCount("get", text, 2, example)]
        return EngineResult(none.sum(axis=1), none, 1.0, errors=errors)

    merged = merged_result(
        [
            ("a", result("MOVED 1 10.0.0.1:1")),
            ("b", result("MOVED # #", example="MOVED 7 10.0.0.1:1")),
            ("c", result("MOVED 2 10.0.0.1:1")),
        ],
        are_several=True,
    )
    assert merged.errors == [ErrorCount("get", "MOVED # #", 6, "MOVED 1 10.0.0.1:1")]
