"""How a segment is read from the folder of its run, and what counts where none could begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.results.layout import RECORD, as_json, read_json
from bench.scenario.load import load_scenario
from bench.watch.history import UNKNOWN, WATCHED
from bench.watch.rollup import merged
from bench.watch.segments import overrides_of, row_of, unreachable
from tests.helpers.scenarios import GOOD
from tests.helpers.synthetic_run import ZERO, S
from tests.helpers.windowed_run import WindowedRun

FAILED = {20: {"timeout": 5}}


def test_a_row_has_the_counts_of_its_run_and_the_windows_in_which_arrivals_failed(tmp_path: Path) -> None:
    row = row_of(WindowedRun(failed=FAILED).write(tmp_path), 7)
    assert row is not None
    assert (row.first, row.last, row.kind) == (7, 7, WATCHED)
    assert (row.from_ns, row.until_ns) == (ZERO.wall_ns, ZERO.wall_ns + 11 * S)
    tally = row.workloads["cache"]
    assert (tally.planned, tally.ok) == (4005, 4000)
    assert merged([tally.response]).sum() == 4005
    (harm,) = row.harm
    assert (harm.from_ns, harm.until_ns) == (ZERO.wall_ns + 6 * S, ZERO.wall_ns + 6 * S + S // 4)
    assert (harm.ok, harm.failed, harm.is_down) == (100, 5, False)


def test_a_run_that_was_cut_short_counts_up_to_its_last_whole_window(tmp_path: Path) -> None:
    folder = WindowedRun(failed=FAILED).write(tmp_path)
    record = read_json(folder / RECORD)
    del record["totals"]
    record["status"] = "interrupted"
    record["started"]["wall_ns"] -= 2 * S  # as it stands before run zero is set
    (folder / RECORD).write_text(as_json(record))
    series = folder / "series.csv"
    series.write_text("".join(series.read_text().splitlines(keepends=True)[:31])[:-3])
    row = row_of(folder, 1)
    assert row is not None
    assert row.from_ns == ZERO.wall_ns
    assert row.until_ns == ZERO.wall_ns + S + 19 * S // 4
    assert row.workloads["cache"].planned == 29 * 100
    assert row.harm == []


def test_a_run_of_a_busy_generator_says_nothing_of_the_target(tmp_path: Path) -> None:
    generator = {"generator": {"idle_ratio": 0.0, "saturated": True}}
    row = row_of(WindowedRun(failed=FAILED, record=generator).write(tmp_path), 1)
    assert row is not None
    assert row.kind == UNKNOWN
    assert "bottleneck" in (row.because or "")
    assert (row.workloads, row.harm, row.watched_ns) == ({}, [], 0)


def test_all_that_was_due_has_failed_while_no_segment_could_connect(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    scenario = load_scenario(file).scenario
    row = unreachable(scenario, 3, 10 * S, 12 * S, "refused", ["redis"])
    assert (row.workloads["cache"].planned, row.workloads["cache"].ok) == (2400, 0)
    (harm,) = row.harm
    assert (harm.from_ns, harm.until_ns, harm.failed) == (10 * S, 12 * S, 2400)
    assert unreachable(scenario, 3, 10 * S, 12 * S, "refused", ["postgres"]).workloads == {}


def test_a_closed_loop_is_refused_because_it_asks_less_of_a_target_that_is_late(tmp_path: Path) -> None:
    file = tmp_path / "closed.yaml"
    file.write_text(GOOD.replace("arrivals: poisson", "arrivals: closed").replace("    rate: 1200/s\n", ""))
    with pytest.raises(UsageError, match="closed loop"):
        overrides_of(load_scenario(file).scenario, 60 * S)
