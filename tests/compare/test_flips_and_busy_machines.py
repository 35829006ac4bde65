"""Differences that are no regression: a rule that flips at its limit, a machine that others kept busy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import run as bench
from bench.compare.difference import Finding, status_changes
from bench.core.histogram import percentile_ns
from bench.judge.verdict import Check, Status, Verdict
from bench.results.reader import Run
from tests.helpers.fabricated_nights import write_night
from tests.helpers.synthetic_run import resource_rows


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nights of one system."""
    out = tmp_path_factory.mktemp("nights")
    for number in range(4):
        write_night(out, number)
    return out


def test_a_rule_that_flips_at_its_limit_is_no_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 % between two nights is chance; that the limit lies in between makes it no more than that.

    Neither night shows on which side of the limit it is, so neither passes nor fails.
    """
    before, after = tmp_path / "before", tmp_path / "after"
    for metric in ("cache.response.p95", "cache.response_ok.p95", "cache.get.response.p95"):
        folders = [root / metric for root in (before, after)]
        first = Run.load(write_night(folders[0], 1, seed=1, sla=()))
        value_ns = percentile_ns(first.histogram("response", "cache"), 95)
        rule = f"{metric} < {value_ns * 1.01 / 1e6:.3f}ms"
        shutil.rmtree(folders[0])
        write_night(folders[0], 1, seed=1, sla=(rule,))
        write_night(folders[1], 2, seed=1, slower=1.02, sla=(rule,))
        assert bench(["compare", *map(str, folders)]) != 1, metric
        assert f'REGRESSION: rule "{rule}"' not in " ".join(capsys.readouterr().out.split())
        for folder in folders:
            shutil.rmtree(folder)
        rule = f"{metric} < {value_ns * 1.5 / 1e6:.3f}ms"
        write_night(folders[0], 1, seed=1, sla=(rule,))
        write_night(folders[1], 2, seed=1, slower=3, sla=(rule,))
        assert bench(["compare", *map(str, folders)]) == 1, metric
        assert f'REGRESSION: rule "{rule}": PASS -> FAIL' in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("rule", "seen", "finding"),
    [
        ("cache.lost_messages == 0", [(0, "count"), (1, "count")], Finding.REGRESSION),
        ("redis.cpu < 80%", [(0.79, "ratio"), (0.81, "ratio")], Finding.CANNOT_TELL),
        ("redis.cpu < 80%", [(0.02, "ratio"), (0.81, "ratio")], Finding.REGRESSION),
        ("availability(window=30s) >= 99.9%", [(0.9991, "ratio"), (0.9989, "ratio")], Finding.CANNOT_TELL),
        ("availability(window=30s) >= 99.9%", [(0.9991, "ratio"), (0.4, "ratio")], Finding.REGRESSION),
        ("recovery.full < 10s", [(9.9e9, "ns"), (10.1e9, "ns")], Finding.CANNOT_TELL),
        ("recovery.full < 10s", [(9.9e9, "ns"), (None, "ns")], Finding.REGRESSION),
    ],
)
def test_a_flip_of_a_rule_without_a_figure_of_its_own_is_told_by_its_values(
    rule: str, seen: list[tuple[float | None, str]], finding: Finding
) -> None:
    verdicts = []
    for status, (value, unit) in zip((Status.PASS, Status.FAIL), seen, strict=True):
        fields = dict.fromkeys(("limit", "warn", "interval", "advice"))
        metric = rule.partition(" ")[0]
        values = {"metric": metric, "observed": value, "unit": unit, "samples": 10_000}
        check = Check(rule=rule, status=status, because="", **values, **fields)  # type: ignore[arg-type]
        verdicts.append(Verdict(scenario="redis_latency", run="r", checks=(check,)))
    (found,) = status_changes(verdicts[:1], verdicts[1], {}, 0.1)
    assert found.finding is finding


@pytest.mark.parametrize("witness", ["run queue", "pressure", "full machine"])
def test_a_run_on_a_machine_that_others_kept_busy_tells_nothing_however_slow_it_was(
    nights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], witness: str
) -> None:
    """Beside twenty busy loops a median can be thirty times what it was: no share of CPU bounds a wait."""

    def rows(source: str, cores_used: float, waited: float) -> list[dict[str, Any]]:
        found = resource_rows(source, lambda _: 50e6)
        more = [
            {"run_queue_worst_s": waited / 10, "run_queue_s": row["at_ns"] / 1e9 * waited} for row in found
        ]
        if witness == "pressure":  # of a target whose own waits nobody may read
            more = [{"run_queue_worst_s": 0.0, "cpu_pressure_s": row["at_ns"] / 1e9 * 0.6} for row in found]
        return [
            row
            | {"cpu_s": round(row["at_ns"] / 1e9 * cores_used, 3)}
            | ({} if witness == "full machine" else extra)
            for row, extra in zip(found, more, strict=True)
        ]

    busy = 1.5 if witness == "pressure" else 2.0
    used = {"redis": (0.1, 0.8), "generator": (0.1, 0.8), "machine": (busy, 0.0)}
    resources = sorted(
        (row for source, each in used.items() for row in rows(source, *each)), key=lambda row: row["at_ns"]
    )
    write_night(tmp_path, 8, slower=30, sla=(), rows=resources)
    assert bench(["compare", str(nights), str(tmp_path)]) != 1
    assert "the machine was busy: " in " ".join(capsys.readouterr().out.split())
