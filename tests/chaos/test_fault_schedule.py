"""The schedule: every repeat of every entry at its time, drawn from the seed and from nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.scenario.faults import FaultEntry
from chaos.schedule import FaultPlan, planned_faults

S = 1_000_000_000
MS = 1_000_000


def entry(kind: str = "kill", target: str = "redis", **fields: object) -> FaultEntry:
    return FaultEntry.model_validate({"kind": kind, "target": target, "at": "10s", **fields})


entries = st.lists(
    st.builds(
        lambda at, repeat, every, jitter: entry(
            at=f"{at}ms",
            jitter=f"{jitter}ms",
            **({"repeat": repeat, "every": f"{every}ms"} if repeat > 1 else {}),
        ),
        at=st.integers(0, 5000),
        repeat=st.integers(1, 20),
        every=st.integers(1, 1000),
        jitter=st.integers(1, 500),
    ),
    max_size=5,
)


def test_repeats_come_at_their_distance() -> None:
    plans = planned_faults([entry(repeat=3, every="2s")], seed=1)
    assert [plan.at_ns for plan in plans] == [10 * S, 12 * S, 14 * S]
    assert [plan.repeat for plan in plans] == [0, 1, 2]
    assert [plan.number for plan in plans] == [0, 1, 2]


def test_a_plan_carries_what_its_entry_says() -> None:
    (plan,) = planned_faults([entry("latency", at="1s", **{"for": "2s", "delay": "5ms"})], seed=0)
    assert plan == FaultPlan(0, "latency", "redis", S, 2 * S, {"delay": 5 * MS})
    assert plan.ends_ns == 3 * S


def test_faults_are_numbered_in_the_order_of_time_whatever_their_place_in_the_file() -> None:
    plans = planned_faults([entry(at="3s"), entry("pause", at="1s", **{"for": "1s"})], seed=0)
    assert [(plan.number, plan.kind, plan.entry) for plan in plans] == [(0, "pause", 1), (1, "kill", 0)]


@given(entries, st.integers(0, 2**63 - 1))
def test_every_repeat_is_there_once_in_order_and_late_by_less_than_its_jitter(
    given_entries: list[FaultEntry], seed: int
) -> None:
    plans = planned_faults(given_entries, seed)
    assert [plan.number for plan in plans] == list(range(sum(one.repeat for one in given_entries)))
    assert [plan.at_ns for plan in plans] == sorted(plan.at_ns for plan in plans)
    assert len({(plan.entry, plan.repeat) for plan in plans}) == len(plans)
    for plan in plans:
        one = given_entries[plan.entry]
        assert one.at_ns is not None
        late_ns = plan.at_ns - one.at_ns - plan.repeat * (one.every_ns or 0)
        assert 0 <= late_ns <= (one.jitter_ns or 0)


@given(entries, st.integers(0, 2**63 - 1))
def test_equal_seeds_give_equal_schedules(given_entries: list[FaultEntry], seed: int) -> None:
    assert planned_faults(given_entries, seed) == planned_faults(given_entries, seed)


@given(entries, entries, st.integers(0, 2**63 - 1))
def test_a_further_entry_moves_no_other(some: list[FaultEntry], more: list[FaultEntry], seed: int) -> None:
    alone = {(plan.entry, plan.repeat): plan.at_ns for plan in planned_faults(some, seed)}
    together = {(plan.entry, plan.repeat): plan.at_ns for plan in planned_faults([*some, *more], seed)}
    assert alone.items() <= together.items()


def test_another_seed_gives_another_jitter() -> None:
    one = entry(jitter="1s")
    assert len({planned_faults([one], seed)[0].at_ns for seed in range(100)}) == 100
