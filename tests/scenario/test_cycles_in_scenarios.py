"""Cycles and rests in a scenario file: what is read, what is refused, what --quick makes of them."""

import pytest

from bench.cli.plan_command import describe, text_of
from bench.plan.compile import compile_plan
from bench.scenario.rules.lint import hints_of, planned_arrivals


def with_cycles(good: str, text: str) -> str:
    assert "for: 30s" in good
    return good.replace("for: 30s", f"for: 30s, {text}")


def test_a_phase_has_cycles_of_load_and_rest(load, good) -> None:
    phase = load(with_cycles(good, "cycles: 50, rest: 30%")).scenario.phases[1]
    assert (phase.cycles, phase.rest) == (50, 0.3)


def test_a_phase_has_none_unless_it_says_so(load, good) -> None:
    phase = load(good).scenario.phases[1]
    assert (phase.cycles, phase.rest) == (None, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cycles: 50", "phases[1]: expected a rest with cycles"),
        ("rest: 30%", "phases[1].rest: expected rest only with cycles"),
        ("cycles: 0, rest: 30%", "phases[1].cycles: expected a whole number 1..10000"),
        ("cycles: 10001, rest: 30%", "phases[1].cycles: expected a whole number 1..10000"),
        ("cycles: 5, rest: 0%", "phases[1].rest: expected a rest above 0% and below 100%"),
        ("cycles: 5, rest: 100%", "phases[1].rest: expected a rest above 0% and below 100%"),
        ("cycles: 5, rest: 0.3", 'phases[1].rest: expected a share such as "30%"'),
        (
            "cycles: 1501, rest: 30%",
            "phases[1].cycles: expected cycles of at least 20 ms, found 1501 in 30 s",
        ),
    ],
)
def test_cycles_that_make_no_sense_are_refused_with_their_place(problems, good, text, sentence) -> None:
    found = [str(problem) for problem in problems(with_cycles(good, text))]
    assert len(found) == 1, found
    assert sentence in found[0]


def test_quick_keeps_the_cycles_and_shortens_them(load, good) -> None:
    phase = load(with_cycles(good, "cycles: 50, rest: 30%"), quick=True).scenario.phases[1]
    assert (phase.cycles, phase.rest, phase.duration_ns) == (50, 0.3, 3 * 10**9)


def test_quick_has_fewer_cycles_where_they_would_be_too_short(load, good) -> None:
    phase = load(with_cycles(good, "cycles: 1000, rest: 30%"), quick=True).scenario.phases[1]
    assert phase.cycles == 150


def test_rests_are_left_out_of_the_planned_rate(load, good) -> None:
    loaded = load(with_cycles(good, "cycles: 50, rest: 25%") + "  - cache.throughput >= 1000/s\n")
    assert planned_arrivals(loaded.scenario, loaded.rules[-1].metric) == pytest.approx(1200 * 30 * 0.75)
    assert "900/s" in "\n".join(hints_of(loaded.scenario, loaded.rules))


def test_the_plan_shows_the_cycles(load, good) -> None:
    plan = compile_plan(load(with_cycles(good, "cycles: 50, rest: 25%")).scenario)
    document = describe(plan, 0)
    assert [phase.cycles for phase in document.phases] == [None, 50]
    text = text_of(document)
    assert "\n  in 50 cycles, the last 25 % of each without load\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert document.workloads[0].expected_arrivals == pytest.approx(1200 * (3 + 30 * 0.75))
