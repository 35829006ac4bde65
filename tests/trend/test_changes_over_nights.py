"""`bench trend` on folders of nights: what changed since when, what splits a series, what confirms it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.ab.record import AbRecord, FigureRecord, save
from bench.cli.main import run as bench
from bench.judge.judge import judge
from bench.judge.verdict import save as save_verdict
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, SyntheticRun

P95 = "cache.response.p95"


def put(out: Path, number: int, p95_ms: float, **record: Any) -> Path:
    """Night `number`: all but 6 % of its arrivals take 1 ms, and one in a hundred 20 ms."""
    slow_ns = round(p95_ms * MS)
    run = SyntheticRun(
        sla=["cache.errors < 1%"],
        samples={"cache/get/response/ok": [(MS, 4700), (slow_ns, 220), (20 * MS, 80)]},
        record=record,
    )
    name = f"20260{1 + number // 28}{1 + number % 28:02d}t024000z-redis_latency-{number:06x}"
    path = run.write(out, name)
    save_verdict(judge(Run.load(path)), path)
    return path


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty nights; since the 21st the P95 is a fifth higher."""
    out = tmp_path_factory.mktemp("nights")
    noise = np.exp(np.random.default_rng(9).normal(0, 0.03, size=30))
    for number in range(30):
        put(out, number, 5 * noise[number] * (1.2 if number >= 20 else 1.0))
    return out


def found(out: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert bench(["trend", str(out), "--json"]) == 0
    changes: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return changes


def test_a_change_is_reported_with_the_keys_of_the_contract(
    nights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (change,) = found(nights, capsys)
    assert list(change) == ["scenario", "metric", "run", "before", "after", "ratio", "interval", "state"]
    assert (change["scenario"], change["metric"], change["state"]) == ("redis_latency", P95, "candidate")
    assert change["run"].startswith("20260121t")
    assert change["before"] == pytest.approx(5 * MS, rel=0.03)
    assert change["interval"][0] < 1.2 < change["interval"][1]


def test_the_terminal_names_figure_and_night_within_eighty_columns(
    nights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["trend", str(nights)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "redis_latency cache.response.p95" in said
    assert "20260121t024000z" in said
    assert "candidate, worse" in said
    assert "bench ab SCENARIO" in said
    assert bench(["trend", str(nights), "--markdown"]) == 0
    assert "| cache.response.p95 | 20260121t024000z |" in capsys.readouterr().out


def compared(out: Path, utc: str, finding: str, metric: str = P95) -> None:
    """A result of `bench ab` in the folder."""
    figure = FigureRecord(
        metric=metric,
        a=1.0,
        b=1.2,
        ratio=1.2,
        interval=[1.1, 1.3],
        p=0.01,
        finding=finding,
        smallest_told=0.1,
    )
    name = f"{utc}-redis_latency-0a1b2c"
    record = AbRecord(
        ab=name,
        scenario="redis_latency",
        utc=utc,
        a="as it is",
        b="with=old/bin/bench",
        threshold=0.05,
        floor=False,
        pairs=10,
        figures=[figure],
    )
    save(record, out / "ab")


@pytest.mark.parametrize(
    ("utc", "finding", "metric", "state"),
    [
        ("20260122t090000z", "REGRESSION", P95, "confirmed"),
        ("20260120t090000z", "REGRESSION", P95, "candidate"),
        ("20260122t090000z", "improvement", P95, "candidate"),
        ("20260122t090000z", "REGRESSION", "cache.response.p50", "candidate"),
    ],
)
def test_only_the_same_found_in_pairs_since_then_confirms_it(
    nights: Path, capsys: pytest.CaptureFixture[str], utc: str, finding: str, metric: str, state: str
) -> None:
    compared(nights, utc, finding, metric)
    try:
        assert [change["state"] for change in found(nights, capsys)] == [state]
    finally:
        for path in (nights / "ab").iterdir():
            path.unlink()


@pytest.mark.parametrize(
    "other",
    [
        {"environment": {"key": {"cpu": "Another CPU"}, "facts": {}}},
        {"versions": {"python": "3.12.1"}},
        {"plan": {"digest": "p", "seed": 1, "quick": True, "overrides": [], "segment": [1, 1]}},
    ],
    ids=["machine", "versions", "form"],
)
def test_another_environment_begins_another_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, Any]
) -> None:
    for number in range(20):
        put(tmp_path, number, 5 + number % 3 / 10 + 5 * (number >= 12), **(other if number >= 12 else {}))
    assert found(tmp_path, capsys) == []


def test_runs_that_say_nothing_are_left_out_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        put(tmp_path, number, 5)
    pair = {"ab": "x", "variant": "a", "number": 1, "place": 1}
    put(tmp_path, 10, 50, pair=pair)
    put(tmp_path, 11, 50, anomalies=[{"code": "x", "severity": "invalid", "message": "it stood still"}])
    (put(tmp_path, 12, 50) / "run.json").write_text("{", encoding="utf-8")
    assert bench(["trend", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is one of a pair" in said
    assert "is INVALID" in said
    assert "0 changes" in said
    assert "of 9 runs" in said


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["trend", str(tmp_path)]) == 2
    assert "expected a folder of runs" in capsys.readouterr().err
