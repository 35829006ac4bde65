"""Who took the processor: told from samples of which the truth is known."""

import pytest

from bench.resources.starvation import starvation
from tests.helpers.machine_samples import S, rows

MEASURED = [(0, 10 * S)]


def test_a_machine_that_others_keep_busy_starves_a_generator_that_waits() -> None:
    found = starvation(rows(2.0, 0.05, 0.02, waits={"generator": 0.85}), MEASURED)
    assert found.share == 1.0
    assert found.others_cores == pytest.approx(1.93)
    assert "the generator waited for a processor" in found.sentence()
    assert "others used 1.93 of this machine's 2 cores" in found.sentence()


def test_a_target_that_waits_while_others_run_is_starved_though_the_generator_is_not() -> None:
    found = starvation(rows(2.0, 0.05, 0.1, waits={"redis": 0.8}), MEASURED)
    assert found.share == 1.0
    assert "redis waited for a processor" in found.sentence()


@pytest.mark.parametrize(
    ("used", "waits"),
    [
        # The target computes all the time; somebody else uses half a core.
        ({"machine": 1.7, "generator": 0.2, "redis": 1.0}, {"redis": 0.03, "generator": 0.02}),
        # Its processes wait for each other: 1.3 cores used, ten times as much waited for.
        (
            {"machine": 2.0, "generator": 0.3, "redis": 1.3, "processes": 20},
            {"redis": 13.0, "generator": 0.3},
        ),
        # The load keeps the processors busy, and the server waits for the load.
        ({"machine": 2.0, "generator": 1.3, "redis": 0.6}, {"redis": 0.4, "generator": 0.1}),
        # A lot is at work, on processors that nobody here wanted.
        ({"machine": 1.5, "generator": 0.2, "redis": 0.2}, {"redis": 0.01, "generator": 0.01}),
    ],
    ids=["computes", "its own processes", "the load", "room for all"],
)
def test_what_the_run_does_to_itself_is_no_starvation_by_others(used, waits) -> None:
    assert starvation(rows(**used, waits=waits), MEASURED).share == 0.0


@pytest.mark.parametrize(
    ("more", "said"), [({"steal": 0.6}, "the hypervisor"), ({"throttled": 0.4}, "a CPU quota")]
)
def test_time_that_was_stolen_or_throttled_counts_by_itself(more, said) -> None:
    found = starvation(rows(1.0, 0.3, 0.1, **more), MEASURED)
    assert found.share == 1.0
    assert said in found.sentence()


def test_only_the_time_counts_that_was_measured_and_not_under_a_fault_that_makes_the_machine_busy() -> None:
    busy = rows(2.0, 0.05, 0.02, waits={"generator": 0.85})
    assert starvation(busy, [(0, 10 * S)], [(0, 10 * S)]).share == 0.0
    assert starvation(busy, [(20 * S, 30 * S)]).share == 0.0
    half = [row for row in busy if row["at_ns"] <= 5 * S]
    quiet = [row for row in rows(0.5, 0.3, 0.1) if row["at_ns"] > 5 * S]
    for row in quiet:
        if "cpu_s" in row:
            row["cpu_s"] += {"machine": 10.0, "generator": 0.25, "redis": 0.1}[row["source"]]
    assert starvation(half + quiet, MEASURED).share == pytest.approx(0.5, abs=0.06)


def test_a_run_without_such_figures_says_nothing_of_it() -> None:
    assert starvation([], MEASURED).share == 0.0
    old = [{"at_ns": n * S, "source": "machine", "cores": 2, "cpu_s": 2.0 * n} for n in range(11)]
    assert starvation(old, MEASURED).share == 0.0
