"""Reports compared with golden files; HOLDFAST_UPDATE_GOLDEN=1 writes them anew, to be read in the diff."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from bench.cli.main import run as bench
from bench.judge.judge import judge
from bench.report import data, text
from bench.results.ownership import sweep
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.synthetic_run import MS, NAME, S, SyntheticRun, resource_rows

GOLDEN = Path(__file__).parent / "golden"
US = 1_000

PASSING = SyntheticRun(
    sla=[
        "cache.response.p95 < 10ms warn 8ms",
        "cache.response.p50 < 50ms",
        "cache.errors < 1% warn 0.5%",
        "cache.throughput >= 1000/s",
        "memory_growth < 100MB warn 75MB",
        "redis.memory_slope < 1MB/min",
        "cpu < 80%",
        "fd_growth <= 10",
    ],
    resources=[
        *resource_rows("redis", lambda s: 60e6 + min(s, 3) * 4e6, pss_bytes=None),
        *resource_rows("generator", lambda s: 130e6, fds=31, cpu_s=None),
        *resource_rows("machine", lambda s: 0, pid=None, rss_bytes=None, working_set_bytes=1.5e9, fds=None),
    ],
    samples={
        "unmeasured:cache/get/response/ok": [(9 * MS, 100)],
        "cache/get/response/ok": [(210 * US, 9_000), (900 * US, 550), (1230 * US, 40), (9 * MS, 10)],
        "cache/get/service/ok": [(60 * US, 9_000), (90 * US, 600)],
        "cache/get/lag/ok": [(100, 9_000), (3_000, 600)],
        "cache/get/late/ok": [(50, 9_590), (2_000, 10)],
        "cache/set/response/ok": [(250 * US, 2_400)],
        "cache/set/service/ok": [(70 * US, 2_400)],
        "cache/set/lag/ok": [(100, 2_400)],
    },
    windows=10,
)

FAILING = SyntheticRun(
    sla=[
        "cache.get.response.p95 < 10ms",
        "cache.response.p99.9 < 20ms",
        "cache.errors < 1% warn 0.5%",
        "cache.throughput >= 1000/s",
        "cache.dropped == 0",
        "cache.availability(window=5s) >= 99.9%",
    ],
    samples={
        "cache/get/response/ok": [(600 * US, 900), (8_500 * US, 80)],
        "cache/get/response/error": [(600 * US, 9)],
        "cache/get/response/timeout": [(S, 8)],
        "cache/get/response/reset": [(S, 3)],
        "cache/get/service/ok": [(60 * US, 980)],
    },
    workload={
        "counters": {"reconnects": 2},
        "errors": [
            {
                "operation": "get",
                "text": "OOM command not allowed when used memory > 'maxmemory'.",
                "count": 7,
            },
            {"operation": "get", "text": "LOADING Redis is loading the dataset in memory", "count": 2},
        ],
    },
    record={
        "anomalies": [
            {"code": "reconnected", "severity": "note", "message": "2 lanes broke and were connected again"}
        ],
        "plan": {"digest": "p" * 64, "seed": 7, "quick": True, "overrides": ["workloads.cache.rate=100/s"]},
    },
    windows=10,
)

PUBSUB = SyntheticRun(
    sla=["cache.end_to_end.p95 < 10ms", "cache.lost_messages == 0", "cache.reordered_messages == 0"],
    samples={
        "cache/publish/response/ok": [(200 * US, 1000)],
        "cache/publish/service/ok": [(100 * US, 1000)],
        "cache/deliver/response/ok": [(400 * US, 2000)],
    },
    workload={
        "driver": "redis_pubsub",
        "counters": {"lost_messages": 0, "duplicate_messages": 0, "reordered_messages": 3},
    },
)

CLIENT = SyntheticRun(
    sla=["cache.pool_utilization < 100% warn 80%", "cache.leaked_connections == 0"],
    samples={
        "cache/get/response/ok": [(900 * US, 1200)],
        "cache/get/service/ok": [(700 * US, 1200)],
        "cache/get/pool_wait/ok": [(20 * US, 1200)],
    },
    workload={"engine": "client", "counters": {"leaked_connections": 0}},
    record={"pool": {"cache": {"size": 50, "utilization_max": 0.84, "utilization_mean": 0.12}}},
)

INTERRUPTED = SyntheticRun(
    sla=["cache.response.p95 < 10ms"],
    samples={"cache/get/response/ok": [(900 * US, 120)]},
    record={"calibration": {}, "environment": {}, "stack": {}},
    interrupted=True,
)

RUNS = {
    "passing": PASSING,
    "failing": FAILING,
    "pubsub": PUBSUB,
    "client": CLIENT,
    "interrupted": INTERRUPTED,
}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Loads a run by a relative path, so that a golden file names no machine."""
    monkeypatch.chdir(tmp_path)
    return lambda name: Run.load(RUNS[name].write(Path("results")))


def is_golden(name: str, found: str) -> bool:
    file = GOLDEN / name
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(found)
    return found == file.read_text()


@pytest.mark.parametrize("name", RUNS)
def test_the_text_report_is_as_it_was_approved(loaded, name):
    run = loaded(name)
    assert is_golden(f"{name}.txt", text.render(run, judge(run)))


@pytest.mark.parametrize("name", RUNS)
def test_the_text_report_fits_80_columns(loaded, name):
    run = loaded(name)
    for line in text.render(run, judge(run)).splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()


@pytest.mark.parametrize("name", RUNS)
def test_the_json_report_is_as_it_was_approved(loaded, name):
    run = loaded(name)
    report = data.render_json(run, judge(run))
    json.loads(report)
    assert is_golden(f"{name}.json", report)


def test_the_csv_report_is_as_it_was_approved(loaded):
    run = loaded("failing")
    assert is_golden("failing.csv", data.render_csv(run, judge(run)))


@pytest.mark.parametrize("name", RUNS)
def test_every_row_of_the_csv_report_has_every_column(loaded, name):
    run = loaded(name)
    rows = list(csv.DictReader(io.StringIO(data.render_csv(run, judge(run)))))
    assert rows
    assert all(None not in row and None not in row.values() for row in rows)


def test_a_run_killed_before_its_outline_has_a_report_in_every_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RunWriter(Path("results"), NAME).leave()
    (kept,) = sweep(Path("results"))
    run = Run.load(kept)
    verdict = judge(run)
    assert text.render(run, verdict).startswith("INVALID  redis_latency: this run says nothing")
    assert json.loads(data.render_json(run, verdict))["status"] == "interrupted"
    assert len(data.render_csv(run, verdict).splitlines()) == 1


def test_a_run_that_has_just_ended_is_shown_with_its_broken_rules_and_verdict_last(loaded):
    run = loaded("failing")
    verdict = judge(run)
    ended = text.render_ended(run, verdict)
    lines = ended.splitlines()
    assert sorted(lines) == sorted(text.render(run, verdict).splitlines())
    places = [
        next(n for n, line in enumerate(lines) if line.startswith(head))
        for head in ("Latency", "Folder", "Rule", "FAIL  cache", f"FAIL  {run.scenario}")
    ]
    assert places == sorted(places)


def test_colour_changes_nothing_but_the_colour(loaded):
    import click

    run = loaded("failing")
    verdict = judge(run)
    coloured = text.render(run, verdict, colour=True)
    assert coloured != text.render(run, verdict)
    assert click.unstyle(coloured) == text.render(run, verdict)


def test_long_names_have_lines_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    operation = "read_the_whole_basket_of_a_customer"
    run = SyntheticRun(
        sla=[f"cache.{operation}.response.p95 < 10ms"],
        samples={f"cache/{operation}/response/ok": [(MS, 300)]},
    ).load(Path("results"))
    report = text.render(run, judge(run))
    assert f"\ncache.{operation}.response.p95\n  " in report
    assert max(map(len, report.splitlines())) <= 80


def test_a_report_prints_in_each_form_without_judging_the_exit(loaded, capsys):
    run = loaded("failing")
    assert bench(["report", str(run.path)]) == 0
    assert capsys.readouterr().out == text.render(run, judge(run))
    assert bench(["report", str(run.path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["status"] == "FAIL"
    assert bench(["report", str(run.path), "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("run,scenario,status,workload,")


def test_a_report_shows_the_saved_verdict_not_a_new_one(loaded, capsys):
    run = loaded("passing")
    assert bench(["judge", str(run.path)]) == 0
    file = run.path / "verdict.json"
    file.write_text(file.read_text().replace("is 250 µs", "is what was saved"))
    capsys.readouterr()
    assert bench(["report", str(run.path), "--format", "json"]) == 0
    assert "is what was saved" in capsys.readouterr().out
