"""The stages of a night that read and keep runs, on runs made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fabricated_nights import write_night
from tests.workflows.workflow_job import ROOT

Night = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Runs stages on tmp_path/night and tmp_path/history."""
    program = tmp_path / "bench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench "$@"\n')
    program.chmod(0o755)

    def run(*stages: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        environment |= {
            "HOLDFAST_NIGHT": str(tmp_path / "night"),
            "HOLDFAST_HISTORY": str(tmp_path / "history"),
            "HOLDFAST_BENCH": str(program),
            **more,
        }
        return subprocess.run(
            [sys.executable, ".ci/nightly.py", *stages],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "history").glob("*/"))


def test_a_good_night_is_kept_without_its_large_files(tmp_path: Path, night: Night) -> None:
    run = write_night(tmp_path / "night", 1)
    (run / "operations.npy").write_bytes(b"large")
    done = night("compare", "keep", "verdict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept(tmp_path) == [run.name]
    files = {path.name for path in (tmp_path / "history" / run.name).iterdir()}
    assert {"run.json", "windows.hlog", "verdict.json"} <= files
    assert "operations.npy" not in files


def test_ten_nights_are_kept_and_the_oldest_forgotten(tmp_path: Path, night: Night) -> None:
    for number in range(1, 13):
        write_night(tmp_path / "history", number, samples=2)
    write_night(tmp_path / "night", 14, samples=2)
    assert night("keep").returncode == 0
    assert len(kept(tmp_path)) == 10
    assert kept(tmp_path)[-1].endswith("00000e")
    assert kept(tmp_path)[0].endswith("000004")


def test_fail_and_invalid_turn_the_night_red_and_are_not_kept(tmp_path: Path, night: Night) -> None:
    invalid = {"code": "saturated", "severity": "invalid", "message": "the generator\nwas the bottleneck"}
    write_night(tmp_path / "night", 1, sla=("cache.response.p95 < 1ms",))
    write_night(tmp_path / "night", 2, scenario="redis_kill", anomalies=[invalid])
    done = night("keep", "verdict", GITHUB_ACTIONS="true")
    assert done.returncode == 1
    errors = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert any("redis_latency is FAIL: cache.response.p95 < 1ms: " in line for line in errors)
    assert any("redis_kill is INVALID: " in line and "generator%0Awas" in line for line in errors)
    assert kept(tmp_path) == []


def test_a_night_without_runs_is_red(night: Night) -> None:
    done = night("verdict")
    assert done.returncode == 1
    assert "no run was made" in done.stdout


def test_a_stage_that_broke_turns_the_night_red(tmp_path: Path, night: Night) -> None:
    write_night(tmp_path / "night", 1)
    (tmp_path / "night" / "night.json").write_text(json.dumps({"chaos": 4}))
    done = night("verdict")
    assert done.returncode == 1
    assert "chaos ended with exit code 4" in done.stdout


def test_an_accepted_regression_is_the_new_normal(tmp_path: Path, night: Night) -> None:
    for number in range(3):
        write_night(tmp_path / "history", number)
    other = write_night(tmp_path / "history", 3, scenario="redis_kill").name
    run = write_night(tmp_path / "night", 8, slower=2, sla=()).name
    worse = [{"scenario": "redis_latency", "after": run, "regressions": ["cache.response.p50: slower"]}]
    (tmp_path / "night" / "night.json").write_text(json.dumps({"worse": worse}))
    refused = night("keep", "verdict")
    assert refused.returncode == 1
    assert "REGRESSION cache.response.p50: slower" in refused.stdout
    assert len(kept(tmp_path)) == 4
    accepted = night("keep", "verdict", HOLDFAST_ACCEPT="true")
    assert accepted.returncode == 0
    assert kept(tmp_path) == sorted([other, run])


def test_what_cannot_be_run_again_stays_worse(tmp_path: Path, night: Night) -> None:
    """The scenario's file is gone: a second run cannot clear the first."""

    def gone(record: dict[str, object]) -> None:
        record["scenario"]["path"] = str(tmp_path / "gone.yaml")  # type: ignore[index]

    for number in range(4):
        write_night(tmp_path / "history", number, change=gone)
    write_night(tmp_path / "night", 8, slower=2, sla=(), change=gone)
    done = night("compare", "verdict", GITHUB_ACTIONS="true")
    assert done.returncode == 1
    assert "::error title=Regression in redis_latency::redis_latency cache.response.p50: " in done.stdout
    assert "became worse; once more, to be sure" in done.stdout


def test_an_unknown_stage_is_refused(night: Night) -> None:
    done = night("perff")
    assert done.returncode == 2
    assert "expected stages among perf, chaos, again, compare, report, keep, verdict" in done.stderr


def test_a_step_over_the_nights_without_another_commit_stays_a_candidate(
    tmp_path: Path, night: Night
) -> None:
    for number in range(12):
        write_night(tmp_path / "history", number, slower=1.5 if number >= 10 else 1.0, sla=())
    write_night(tmp_path / "night", 12, slower=1.5, sla=())
    done = night("compare", "keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A step over the nights: redis_latency cache.response.p95" in done.stdout
    assert "no other commit to compare with" in done.stdout
    assert json.loads((tmp_path / "night" / "night.json").read_text())["steps"] == []
    assert len((tmp_path / "history" / kept(tmp_path)[-1] / "commit").read_text()) == 40
