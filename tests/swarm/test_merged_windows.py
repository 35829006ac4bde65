"""Windows of workers are added up bucket by bucket, whatever the order in which they come."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.answers import Answers, ErrorCount
from bench.core.histogram import BUCKET_COUNT, empty
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.plan.compile import compile_plan
from bench.results.logs import Tag
from bench.scenario.model import Scenario
from bench.swarm.distributed.coordinator import Coordinator
from bench.swarm.distributed.engine import RemoteEngine
from bench.swarm.distributed.messages import (
    FROM_HOST,
    HistogramGain,
    HostMessage,
    Result,
    ResultValues,
    Window,
    packed_bytes,
    unpacked_bytes,
)
from bench.swarm.distributed.sums import merged_result
from bench.swarm.messages import HistogramDelta

NAMES = ("w1", "w2", "w3")
LIVE = EngineStats(0, (0,) * OUTCOME_COUNT, 0, 0, 0, 0, 0, 0)
PLAN = compile_plan(
    Scenario.model_validate(
        {
            "scenario": "nothing",
            "purpose": "Only the plan is wanted",
            "workloads": [
                {
                    "name": "n",
                    "target": "none",
                    "driver": "noop",
                    "lanes": 3,
                    "arrivals": "constant",
                    "rate": "9/s",
                }
            ],
            "phases": [{"name": "steady", "for": "1s"}],
        }
    )
)

gains = st.lists(
    st.tuples(
        st.sampled_from(["response", "service", "lag"]),
        st.integers(0, OUTCOME_COUNT - 1),
        st.dictionaries(st.integers(0, BUCKET_COUNT - 1), st.integers(1, 10**9), min_size=1, max_size=5),
    ),
    max_size=4,
    unique_by=lambda one: one[:2],
)


def engine_of(folder: Path = Path()) -> tuple[Coordinator, RemoteEngine]:
    """An engine of three workers of whom everything is heard and nothing is asked."""
    from bench.swarm.distributed.plan_codec import segments_of
    from bench.swarm.distributed.worker import RemotePart

    fleet = Coordinator(NAMES, lambda name, message: None)
    for name, segment in segments_of(PLAN, NAMES)[0].items():
        fleet.workers[name].parts[0] = RemotePart.empty(segment, 1)
    return fleet, RemoteEngine(fleet, PLAN, 0, list(fleet.workers.values()), None, folder)


def window(number: int, found: list[Any], *, is_last: bool = False, live: EngineStats = LIVE) -> Any:
    gained = [
        HistogramGain(0, kind, outcome, list(cells), list(cells.values())) for kind, outcome, cells in found
    ]
    return json.loads(FROM_HOST.write(Window(0, number, is_last, gained, live, [])))


def sent(message: HostMessage) -> HostMessage:
    """The message as it arrives."""
    return FROM_HOST.read(FROM_HOST.write(message))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(gains, gains, gains), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_every_merged_window_is_the_sum_of_the_workers_to_the_unit(
    windows: list[tuple[list[Any], list[Any], list[Any]]], random: Any
) -> None:
    fleet, engine = engine_of()
    told = [(name, number) for name in NAMES for number in range(len(windows))]
    random.shuffle(told)
    for name, number in sorted(told, key=lambda one: one[1]):  # each worker in its order, they in any
        fleet.hear(name, window(number, windows[number][NAMES.index(name)]))
    for of_workers in windows:
        expected: dict[tuple[str, int], Any] = {}
        for found in of_workers:
            for kind, outcome, cells in found:
                total = expected.setdefault((kind, outcome), empty())
                for bucket, count in cells.items():
                    total[bucket] += count
        changes = list(engine.changes())
        assert {(one.kind, int(one.outcome)) for one in changes} == set(expected)
        for change in changes:
            assert np.array_equal(change.counts, expected[change.kind, int(change.outcome)])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, BUCKET_COUNT - 1), st.integers(1, 2**62), max_size=20))
def test_a_histogram_survives_its_sparse_form(cells: dict[int, int]) -> None:
    counts = empty()
    for bucket, count in cells.items():
        counts[bucket] = count
    delta = HistogramDelta.of(Tag("w", "get", "response", "ok"), counts)
    again = empty()
    again[delta.buckets] = delta.counts
    assert np.array_equal(again, counts)


@settings(deadline=None)
@given(st.binary(max_size=5000))
def test_bytes_survive_their_text(content: bytes) -> None:
    assert unpacked_bytes(packed_bytes(content)) == content


def test_a_window_that_one_worker_has_not_sent_is_waited_for_once_and_then_counted_late() -> None:
    from bench.swarm.distributed import engine as remote_engine

    fleet, engine = engine_of()
    one = [("response", 0, {7: 1})]
    limit, remote_engine.LATE_S = remote_engine.LATE_S, 0.01
    try:
        for name in NAMES[:2]:
            fleet.hear(name, window(0, one))
            fleet.hear(name, window(1, one))
        assert [int(change.counts[7]) for change in engine.changes()] == [2]
        fleet.hear("w3", window(0, one))
        fleet.hear("w3", window(1, one))
        assert [int(change.counts[7]) for change in engine.changes()] == [4]
    finally:
        remote_engine.LATE_S = limit
    assert [worker.late_windows for worker in fleet.workers.values()] == [0, 0, 1]


def test_the_rate_shown_adds_up_and_the_idle_time_is_that_of_the_busiest() -> None:
    fleet, engine = engine_of()
    for name, idle in zip(NAMES, (900, 100, 500), strict=True):
        fleet.hear(
            name, window(0, [], live=replace(LIVE, taken=5, in_flight=1, idle_ns=idle, elapsed_ns=1000))
        )
    list(engine.changes())
    live = engine.live()
    assert (live.taken, live.in_flight) == (15, 3)
    assert (live.idle_ns, live.elapsed_ns) == (100, 1000)


def test_results_are_added_up_and_the_worst_worker_speaks_for_all() -> None:
    def result(taken: int, idle: float, lag: int | None) -> EngineResult:
        return EngineResult(
            taken=np.array([taken]),
            tallies=np.array([[taken] + [0] * (OUTCOME_COUNT - 1)]),
            idle_ratio=idle,
            phase_idle_ratios=[idle],
            phase_lag_p50_ns=[lag],
            busy_ns=10.0,
            answers={0: Answers(taken, 1, {200: taken, 302: 5})},
            counters={"reconnects": 1},
            errors=[ErrorCount("get", "no", 2)],
            anomalies=[("generator_stalled", "note", "it stood still")],
        )

    results = []
    for name, one in (("w1", result(3, 0.9, 50)), ("w2", result(4, 0.2, None))):
        message = sent(Result(0, ResultValues.of(one), [], []))
        assert isinstance(message, Result)
        results.append((name, message.result.result()))
    merged = merged_result(results, are_several=True)
    assert (merged.taken.tolist(), merged.tallies[0, 0]) == ([7], 7)
    assert (merged.idle_ratio, merged.phase_idle_ratios, merged.phase_lag_p50_ns) == (0.2, [0.2], [50])
    assert merged.answers == {0: Answers(7, 2, {200: 7, 302: 10})}
    assert (merged.busy_ns, merged.counters) == (20.0, {"reconnects": 2})
    assert merged.errors == [ErrorCount("get", "no", 4)]
    assert [message for _, _, message in merged.anomalies] == [
        "it stood still (worker w1)",
        "it stood still (worker w2)",
    ]
    answered = Window(0, 0, False, [], replace(LIVE, answers=Answers(1, 2, {503: 3})), [])
    assert sent(answered) == answered
