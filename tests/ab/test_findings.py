"""What pairs of runs say about each figure, how it is told, and what is kept of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench.ab.findings import Figures, PairedFigure, exit_code, paired_figures
from bench.ab.record import AbRecord, FigureRecord, floor_for, floor_of, results_in, save, save_floor
from bench.compare.difference import MEMORY_GROWTH, PERCENTILES, THROUGHPUT, Estimate, Finding, Unknown
from bench.compare.figures import figures
from bench.core.errors import ExitCode
from bench.report import ab
from bench.results.reader import Run
from tests.helpers.fabricated_nights import write_night

P95, RATE = "cache.response.p95", "cache.throughput"


def estimate(value: float, resolution: float = 0.0) -> Estimate:
    return Estimate(value, math.log(value), 0.05, resolution, 1000)


def pairs(
    count: int = 10, slower: float = 1.0, spread: float = 0.03, resolution: float = 0.0
) -> list[tuple[Figures, Figures]]:
    """Pairs of runs of which b answers so much slower, and does as much per second less."""
    random = np.random.default_rng(8)
    found = []
    for _ in range(count):
        sides: list[Figures] = []
        for factor in (1.0, slower):
            noise = np.exp(random.normal(0, spread, size=2))
            sides.append(
                {
                    P95: (PERCENTILES["p95"], estimate(2e6 * factor * noise[0], resolution)),
                    RATE: (THROUGHPUT, estimate(1000 / factor * noise[1])),
                }
            )
        found.append((sides[0], sides[1]))
    return found


def by_metric(found: list[PairedFigure]) -> dict[str, PairedFigure]:
    return {one.metric: one for one in found}


def test_what_is_slower_in_every_pair_is_a_regression_in_the_direction_of_each_figure() -> None:
    found = by_metric(paired_figures(pairs(slower=1.2), 0.05, {}))
    assert {one.finding for one in found.values()} == {Finding.REGRESSION}
    one = found[P95]
    assert one.ratio == pytest.approx(1.2, rel=0.03)
    assert one.low is not None
    assert one.high is not None
    assert one.low < 1.2 < one.high
    assert one.p == pytest.approx(2 / 2**10)
    assert one.smallest_told is not None
    assert 0.05 < one.smallest_told < 0.15
    assert exit_code(list(found.values()), 10) is ExitCode.SLA_FAILED


def test_the_other_way_round_it_is_an_improvement() -> None:
    found = paired_figures([(b, a) for a, b in pairs(slower=1.2)], 0.05, {})
    assert {one.finding for one in found} == {Finding.IMPROVEMENT}
    assert exit_code(found, 10) is ExitCode.OK


def test_equal_variants_have_no_difference() -> None:
    found = paired_figures(pairs(), 0.05, {})
    assert {one.finding for one in found} == {Finding.NO_DIFFERENCE}


def test_too_much_noise_says_neither() -> None:
    found = paired_figures(pairs(spread=0.4), 0.05, {})
    assert {one.finding for one in found} == {Finding.CANNOT_TELL}
    assert all(one.smallest_told is not None and one.smallest_told > 0.3 for one in found)
    assert exit_code(found, 10) is ExitCode.UNKNOWN


def test_a_change_below_the_threshold_or_below_the_floor_is_no_regression() -> None:
    slower = pairs(slower=1.2)
    assert by_metric(paired_figures(slower, 0.5, {}))[P95].finding is Finding.NO_DIFFERENCE
    found = by_metric(paired_figures(slower, 0.05, {P95: 0.5}))
    assert (found[P95].finding, found[RATE].finding) == (Finding.NO_DIFFERENCE, Finding.REGRESSION)


def test_a_change_that_the_runs_cannot_resolve_is_not_shown() -> None:
    found = by_metric(paired_figures(pairs(slower=1.2, resolution=1e6), 0.05, {}))[P95]
    assert (found.finding, found.because) == (Finding.CANNOT_TELL, "resolution")


def test_three_pairs_show_no_regression_and_say_how_many_would() -> None:
    found = paired_figures(pairs(3, slower=1.5), 0.05, {})
    assert {one.finding for one in found} == {Finding.CANNOT_TELL}
    assert found[0].because == "6 pairs are the least that can show one"
    assert found[0].low is not None
    assert exit_code(found, 3) is ExitCode.UNKNOWN


def test_what_came_in_every_run_of_a_and_in_none_of_b_is_a_regression() -> None:
    gone = Estimate(math.inf, math.inf, 0.0, 0.0, 3, never=True)
    kind = PERCENTILES["p95"]
    found = paired_figures([({P95: (kind, estimate(1e6))}, {P95: (kind, gone)})] * 6, 0.05, {})
    assert found[0].finding is Finding.REGRESSION
    assert found[0].ratio is None


def test_a_figure_that_few_pairs_have_is_not_compared() -> None:
    unknown = {"redis.memory_growth": (MEMORY_GROWTH, Unknown("needs more samples"))}
    found = by_metric(paired_figures([({**a, **unknown}, b) for a, b in pairs()], 0.05, {}))
    assert found["redis.memory_growth"].because == "a run does not have it"
    assert found[P95].finding is Finding.NO_DIFFERENCE


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Seven runs of one system, then seven slower ones."""
    out = tmp_path_factory.mktemp("nights")
    return [Run.load(write_night(out, number, slower=1.3 if number >= 7 else 1.0)) for number in range(14)]


@pytest.fixture(scope="module")
def compared(nights: list[Run]) -> tuple[AbRecord, list[PairedFigure]]:
    read = [figures(run) for run in nights]
    found = paired_figures(list(zip(read[:7], read[7:], strict=True)), 0.05, {})
    record = AbRecord(
        ab="20260202t024000z-redis_latency-0a1b2c",
        scenario="redis_latency",
        utc="2026-02-02T02:40:00Z",
        a="as it is",
        b="set=workloads.cache.lanes=2",
        threshold=0.05,
        floor=False,
        pairs=7,
        runs=[[one.name, two.name] for one, two in zip(nights[:7], nights[7:], strict=True)],
        set_aside=["pair 3: others used 0 % and 50 % of the machine"],
        figures=[FigureRecord.of(one) for one in found],
    )
    return record, found


def test_json_has_the_keys_of_the_contract_and_no_others(
    compared: tuple[AbRecord, list[PairedFigure]],
) -> None:
    found = json.loads(ab.render_json(compared[0]))
    assert list(found) == ["scenario", "pairs", "figures"]
    assert found["pairs"] == 7
    keys = ["metric", "a", "b", "ratio", "interval", "p", "finding", "smallest_told"]
    assert all(list(one) == keys for one in found["figures"])
    one = next(one for one in found["figures"] if one["metric"] == P95)
    assert one["finding"] == "REGRESSION"
    assert one["interval"][0] < one["ratio"] < one["interval"][1]


def test_the_terminal_has_eighty_columns_and_every_regression(
    compared: tuple[AbRecord, list[PairedFigure]],
) -> None:
    said = ab.render_text(*compared)
    assert max(map(len, said.splitlines())) <= 80
    assert "REGRESSION  cache.response.p95: " in said
    assert "set aside: pair 3" in said
    assert "no A/A floor" in said


def test_a_comment_can_be_found_again_and_folds_what_did_not_change(
    compared: tuple[AbRecord, list[PairedFigure]],
) -> None:
    said = ab.render_comment(*compared)
    assert said.startswith("<!-- holdfast ab redis_latency -->\n")
    head, _, folded = said.partition("<details>")
    assert "**REGRESSION**" in head
    assert "smallest told" in folded
    assert "smallest told" in ab.render_markdown(*compared)


def test_a_saved_result_is_read_again_and_a_damaged_one_left_out(
    compared: tuple[AbRecord, list[PairedFigure]], tmp_path: Path
) -> None:
    save(compared[0], tmp_path / "ab")
    (tmp_path / "ab" / "20260203t024000z-redis_latency-000000.ab.json").write_text("{", encoding="utf-8")
    (found,) = results_in(tmp_path)
    assert found == compared[0]
    assert P95 in found.metrics(Finding.REGRESSION)


def test_a_floor_is_that_of_the_machine_and_form_it_was_measured_on(
    nights: list[Run], tmp_path: Path
) -> None:
    read = [figures(run) for run in nights[:7]]
    found = paired_figures(list(zip(read, read[::-1], strict=True)), 0.05, {})
    save_floor(nights[0], 7, floor_of(found), "2026-02-02T02:40:00Z", tmp_path)
    known = floor_for(nights[1], tmp_path)
    assert known is not None
    assert known.figures[P95] >= 0
    record = nights[1].record
    elsewhere = record.environment.model_copy(update={"key": {"cpu": "another"}})
    nights[1].record = record.model_copy(update={"environment": elsewhere})
    try:
        assert floor_for(nights[1], tmp_path) is None
    finally:
        nights[1].record = record
