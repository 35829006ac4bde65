"""Which pair comes next, and which one is set aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.ab.schedule import Pair, Schedule
from bench.compare.baseline_runs import Candidate
from bench.judge.judge import judge
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, SyntheticRun


def candidate(folder: Path, number: int, **record: Any) -> Candidate:
    run = SyntheticRun(
        sla=["cache.errors < 5%"],
        samples={"cache/get/response/ok": [(MS, 1000)]},
        record={"resources": record.pop("resources", {}), **record},
    )
    name = f"20260202t0240{number:02d}z-redis_latency-{number:06x}"
    loaded = Run.load(run.write(folder, name))
    return Candidate(loaded, judge(loaded))


def others(cores: float, starved: float = 0.0) -> dict[str, Any]:
    record = {"cores": 2, "others_cores": cores, "starved_ratio": starved, "held_up_ratio": 0.5}
    return {"others": {**record, "because": "the generator waited for a processor"}}


def test_equal_conditions_make_a_pair(tmp_path: Path) -> None:
    pair = Pair(
        1, candidate(tmp_path, 1, resources=others(1.6)), candidate(tmp_path, 2, resources=others(1.5))
    )
    assert pair.obstacle == ""


def test_a_neighbour_beside_one_run_only_sets_the_pair_aside(tmp_path: Path) -> None:
    pair = Pair(1, candidate(tmp_path, 1), candidate(tmp_path, 2, resources=others(1.0)))
    assert pair.obstacle == "others used 0 % and 50 % of the machine"


def test_a_processor_that_one_run_waited_for_sets_the_pair_aside(tmp_path: Path) -> None:
    pair = Pair(
        1, candidate(tmp_path, 1, resources=others(0.1)), candidate(tmp_path, 2, resources=others(0.2, 0.3))
    )
    assert pair.obstacle == "others held it up for 0 % and 30 % of the time"


def test_an_invalid_run_is_no_data(tmp_path: Path) -> None:
    broken = {"code": "x", "severity": "invalid", "message": "the generator stood still"}
    pair = Pair(1, candidate(tmp_path, 1), candidate(tmp_path, 2, anomalies=[broken]))
    assert pair.obstacle.startswith("b: ")
    assert "INVALID" in pair.obstacle


def test_after_half_as_many_again_it_ends_and_says_why(tmp_path: Path) -> None:
    good, busy = candidate(tmp_path, 1), candidate(tmp_path, 2, resources=others(1.0))
    schedule = Schedule(4, seed=1)
    while (order := schedule.next_pair()) is not None:
        schedule.add(Pair(order.number, good, good if order.number == 1 else busy))
    assert (len(schedule.kept), len(schedule.set_aside)) == (1, 3)
    assert schedule.shortage().startswith(
        "1 pair of 4: 3 were set aside, the last one because pair 4: others"
    )


@given(st.integers(1, 40), st.integers(0, 2**32), st.sets(st.integers(1, 60)))
def test_it_ends_with_what_was_wanted_or_too_many_set_aside(wanted: int, seed: int, bad: set[int]) -> None:
    schedule = Schedule(wanted, seed)
    numbers = []
    while (order := schedule.next_pair()) is not None:
        numbers.append(order.number)
        assert sorted(order.variants) == ["a", "b"]
        if order.number in bad:
            schedule.set_aside.append("busy")
        else:
            schedule.kept.append(None)  # type: ignore[arg-type]  # what it is does not matter here
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(schedule.kept) == wanted or len(schedule.set_aside) == schedule.most_set_aside + 1


def test_one_seed_has_one_order_and_both_orders_come() -> None:
    def orders() -> list[str]:
        schedule = Schedule(100, seed=7)
        return [order.first for _ in range(40) if (order := schedule.next_pair())]

    assert orders() == orders()
    assert orders().count("a") == orders().count("b")
    assert len(set(zip(orders()[::2], orders()[1::2], strict=True))) == 2
