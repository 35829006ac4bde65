"""Texts and numbers that a client library is given, against those that the wire engine writes."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_S
from bench.drivers.templates import Draws, TemplateWriter, Vocabulary, Words
from bench.engine.client.pool import ConnectionNumbers, PendingRequest, PoolMonitor, RunClock
from bench.engine.wire.layout import FROM_ARRIVAL, FROM_VARIABLE, NATURAL, SPACE_PADDED, ZERO_PADDED
from bench.engine.wire.render import write_number
from bench.plan.draws import draw
from bench.plan.program import Field
from tests.helpers.client_runs import plan_of

PARAMETERS = {
    "account": {"count": 100_000, "distribution": "zipf"},
    "delta": {"from": -5000, "to": 20},
    "turn": {"count": 7, "distribution": "sequential"},
}


@cache
def tools() -> tuple[Vocabulary, Draws, RunClock]:
    """Made by whoever needs them first: on an empty cache, that one compiles."""
    plan = plan_of(
        driver="postgres",
        target="postgres",
        keys=None,
        value={"bytes": 30},
        parameters=PARAMETERS,
        operations={"one": {"sql": "SELECT {account}::int"}},
    ).workloads[0]
    clock = RunClock()
    return Vocabulary(plan.workload, plan.seed), Draws(plan, clock), clock


def ticket_of(arrival: int, key: int = 0) -> PendingRequest:
    return PendingRequest(0, 0, 0, key, arrival)


@given(st.sampled_from([ZERO_PADDED, SPACE_PADDED, NATURAL]), st.integers(-99_999, 99_999))
def test_a_drawn_number_is_written_as_the_wire_engine_writes_it(form: int, number: int) -> None:
    content = np.full(12, ord("?"), dtype=np.uint8)
    used = int(write_number(content, 2, 7, number, form))
    writer = TemplateWriter(tools()[0])
    writer.literal(b"0000000%")
    # The key's variable: its number is the ticket's own.
    writer.fields.append(Field(0, 7, FROM_VARIABLE, 0, 0, form))
    words = Words(writer, tools()[1])
    assert words.render(ticket_of(0, number)) == content[2 : 2 + used].tobytes() + b"%"
    assert words.number_maker() is None, "there is a percent sign behind it"


@given(st.integers(0, 10**15))
def test_an_arrival_wider_than_its_field_keeps_its_last_digits(arrival: int) -> None:
    content = np.zeros(5, dtype=np.uint8)
    write_number(content, 0, 5, arrival, ZERO_PADDED)
    writer = TemplateWriter(tools()[0])
    writer.literal(b"00000")
    writer.fields.append(Field(0, 5, FROM_ARRIVAL))
    words = Words(writer, tools()[1])
    assert words.render(ticket_of(arrival)) == content.tobytes()
    number = words.number_maker()
    assert number is not None
    assert number(ticket_of(arrival)) == int(content.tobytes())


def test_numbers_are_the_plans_draws() -> None:
    plan = plan_of(
        driver="postgres",
        target="postgres",
        keys=None,
        parameters=PARAMETERS,
        operations={"one": {"sql": "SELECT {account}::int"}},
        seed=9,
    ).workloads[0]
    draws = Draws(plan, RunClock())
    for arrival in (0, 1, 77, 10**9):
        ticket = ticket_of(arrival, key=5)
        drawn = [int(draw(row, plan.seed, arrival)) for row in plan.program.variables]
        fields = [Field(0, 1, FROM_VARIABLE, number, base=-3) for number in range(3)]
        assert [draws.number(field, ticket) for field in fields] == [2, drawn[1] - 3, drawn[2] - 3]


def test_a_value_is_text_with_its_arrival_in_it_and_a_run_has_its_label() -> None:
    tools()[2].run_label = 1_234_567_890_123
    writer = TemplateWriter(tools()[0])
    writer.text("100% {value} {run} {turn}", NATURAL)
    said = Words(writer, tools()[1]).render(ticket_of(15)).decode()
    assert said.startswith("100% 000000000015:")
    assert said.endswith(" 1234567890123 1")


class Thing:
    is_open = True


def test_a_new_connection_takes_the_number_of_one_that_is_gone() -> None:
    clock = RunClock()
    watch = PoolMonitor(3, [(0, NS_PER_S)], clock)
    numbers = ConnectionNumbers[Thing](watch, lambda thing: thing.is_open)
    things = [Thing() for _ in range(3)]
    for thing in things:
        numbers.opened(numbers.take(), thing)
    assert [numbers.number_of(thing) for thing in things] == [0, 1, 2]
    assert (watch.connected, watch.lost, watch.reconnected) == (3, 0, 0)

    numbers.lost(1, things[1])
    numbers.lost(1, things[1])
    assert (watch.connected, watch.lost) == (2, 1), "told twice, lost once"
    assert numbers.take() == 1
    numbers.unopened(1)
    assert numbers.take() == 1
    numbers.opened(1, Thing())
    assert (watch.connected, watch.reconnected) == (3, 1)
    assert watch.notes[0].attempts == 2

    things[2].is_open = False  # nobody tells
    assert numbers.take() == 2
    numbers.opened(2, Thing())
    assert (watch.connected, watch.lost, watch.reconnected) == (3, 2, 2)

    numbers.parted(0, things[0])
    assert numbers.take() == 0
    numbers.opened(0, Thing())
    assert (watch.connected, watch.lost, watch.reconnected, watch.opened) == (3, 2, 2, 6)
    assert watch.created == 3
    assert watch.leaked() == 0
