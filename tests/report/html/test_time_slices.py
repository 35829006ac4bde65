"""Long runs are drawn with few points, and none of them is an average."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.core import histogram
from bench.report.html.slices import PERCENTILES, Slices, spread_of, spreads
from tests.helpers.synthetic_run import MS, S, counts_of
from tests.helpers.windowed_run import WindowedRun

PHASES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 500)), min_size=1, max_size=4)
"""Windows of each phase, and the length of each in ms."""


def rows_of(phases: list[tuple[int, int]]) -> list[dict[str, float | str | None]]:
    rows: list[dict[str, float | str | None]] = []
    at_ns = 0
    for number, (windows, length_ms) in enumerate(phases):
        for _ in range(windows):
            row = {"start_ns": float(at_ns), "end_ns": float(at_ns + length_ms * MS), "planned": 7.0}
            rows.append({**row, "workload": "cache", "phase": f"p{number}"})
            at_ns += length_ms * MS
    return rows


@given(PHASES, st.integers(5, 240))
def test_slices_follow_each_other_without_a_gap_and_stay_in_their_phase(
    phases: list[tuple[int, int]], most: int
) -> None:
    rows = rows_of(phases)
    slices = Slices(rows, most)
    ends = {row["phase"]: row["end_ns"] for row in rows}
    assert slices.all[0].start_ns == 0
    assert all(one.end_ns == after.start_ns for one, after in zip(slices.all, slices.all[1:], strict=False))
    assert slices.all[-1].end_ns == rows[-1]["end_ns"]
    assert all(one.end_ns <= (ends[one.phase] or 0) for one in slices.all)
    assert sum(one.windows for one in slices.all) == len(rows)
    assert len(slices.all) <= 1.1 * most + len(phases) + 1


@given(PHASES, st.integers(5, 240))
def test_no_arrival_is_lost_or_counted_twice(phases: list[tuple[int, int]], most: int) -> None:
    rows = rows_of(phases)
    slices = Slices(rows, most)
    assert slices.sums("cache", "planned") == [7.0 * one.windows for one in slices.all]
    assert slices.sums("cache", "not there") == [None] * len(slices.all)
    assert slices.highest("unknown", "planned") == [None] * len(slices.all)


@given(st.lists(st.integers(1, 10**11), min_size=1, max_size=200))
def test_the_figures_of_a_slice_are_those_of_the_histogram(values: list[int]) -> None:
    counts = counts_of(*values)
    found = spread_of(counts)
    assert found
    assert found.percentiles_ns == tuple(histogram.percentile_ns(counts, p) for p in PERCENTILES)
    assert (found.max_ns, found.samples) == (histogram.max_ns(counts), len(values))


def test_percentiles_of_a_slice_are_of_its_merged_windows(tmp_path: Path) -> None:
    # One window of ten is slow: the P95 of all is slow, a mean of ten P95 would be 10.9 ms.
    run = WindowedRun(windows=100, response_ns=lambda window: (100 if window % 10 == 0 else 1) * MS).load(
        tmp_path
    )
    fine, coarse = Slices(run.series(), 240), Slices(run.series(), 11)
    drawn, merged = spreads(run, (fine, coarse))
    assert len(drawn["cache", None]) == len(fine.all) == 110
    of_measured = [
        found for found, one in zip(merged["cache", None], coarse.all, strict=True) if one.phase == "steady"
    ]
    assert len(of_measured) == 10
    for found in of_measured:
        assert found
        assert found.samples == 1000
        assert found.percentiles_ns[0] < 1.1 * MS
        assert found.percentiles_ns[1] > 99 * MS


def test_a_window_in_which_nothing_ended_leaves_a_gap(tmp_path: Path) -> None:
    run = WindowedRun(windows=20).load(tmp_path)
    rows = run.series()
    for row in rows:
        assert isinstance(row["start_ns"], float)
        row["start_ns"] += 100 * S  # as if the log knew nothing of these windows
        row["end_ns"] = row["start_ns"] + S
    (found,) = spreads(run, (Slices(rows, 240),))
    assert [one is None for one in found["cache", None]].count(True) >= 19


def test_a_run_whose_series_names_no_windows_has_no_slices() -> None:
    slices = Slices([{"start_s": 0.0, "end_s": 1.0, "planned": 5.0}], 240)
    assert (slices.all, slices.width(), slices.steps()) == ((), "", [])


def test_a_short_drain_makes_no_rate() -> None:
    rows = rows_of([(10, 100)])
    rows.append({**rows[-1], "start_ns": 1e9, "end_ns": 1e9 + 1e6, "phase": "drain", "planned": 0.0})
    slices = Slices(rows, 240)
    assert len(slices.all) == 11
    assert slices.rates("cache", "planned") == [70.0] * 10
