"""report.html: everything that the text report says, in one file that loads nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import run as bench
from bench.core import units
from bench.core.units import spaced
from bench.judge.judge import judge
from bench.report import html
from bench.report.figures import latencies
from bench.report.html.run_page import render
from bench.results.reader import Run
from tests.helpers.fault_run import FaultRun, detection, fault, integrity, recovery, unaffected
from tests.helpers.synthetic_run import MS, S, SyntheticRun
from tests.helpers.windowed_run import WindowedRun
from tests.report.html.page_reader import Reader

NASTY = "</script><img src=x onerror=alert(1)>\u2028"
KILLS = FaultRun(
    sla=["recovery.stable < 10s warn 8s", "detection.probe < 6s", "lost_writes == 0"],
    detections=[detection(n, "probe", 2 + n + 0.2) for n in range(5)],
    record={"integrity": [integrity(0)]},
)


def made(run: Run) -> str:
    return render(run, judge(run))


def words_of(page: str) -> str:
    """What a reader sees without JavaScript, on one line."""
    shown = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(Reader(re.sub(r"(?=<)", " ", shown)).text.split())


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="plots">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return WindowedRun(
        sla=["cache.response.p95 < 10ms warn 8ms", "cache.throughput >= 300/s", "cache.errors < 1%"],
        failed={20: {"timeout": 30, "refused": 5}},
    ).load(tmp_path_factory.mktemp("loaded"))


def test_every_rule_stands_there_with_its_numbers_and_why(loaded: Run) -> None:
    verdict, words = judge(loaded), words_of(made(loaded))
    assert len(verdict.checks) >= 3
    for check in verdict.checks:
        assert check.because in words
        assert check.status.name in words
        assert check.advice is None or check.advice in words
        if check.observed is not None:
            assert units.format_quantity(check.observed, check.unit or "count") in words
    assert "< 10ms" in words
    assert "8ms" in words


def test_its_figures_are_those_of_the_text_report(loaded: Run) -> None:
    words = words_of(made(loaded))
    for found in latencies(loaded):
        if found.kind in ("response", "service"):
            assert units.format_duration_ns(found.percentiles_ns[95]) in words
            assert spaced(found.samples) in words
    assert "get 4 035 4 000 0 30 0 5 0" in words
    assert "bench run scenarios/redis_latency.yaml --stack embedded --seed 1" in words


def test_it_loads_nothing_and_fits_into_a_mail(loaded: Run) -> None:
    page = made(loaded)
    assert len(page.encode()) < 300_000
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name) or "data:"
            assert target.startswith(("data:", "#")) or re.fullmatch(r"[a-z]+\.[a-z]+", target), (tag, target)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert not any("@import" in style or re.search(r"url\((?!#)", style) for style in styles)


def test_every_plot_has_a_place_a_name_and_a_table_beside_it(loaded: Run) -> None:
    page = made(loaded)
    places = [attributes for _, attributes in Reader(page).tags if "data-plot" in attributes]
    data = data_of(page)
    assert {place["data-plot"] for place in places} == set(data["plots"])
    assert all(place["tabindex"] == "0" and place["aria-label"] for place in places)
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert sum("<table" in figure or "table above" in figure for figure in figures) == len(places)
    for plot in data["plots"].values():
        x = data["axes"][plot["x"]]
        assert x == sorted(x)
        assert all(len(line["values"]) == len(x) for line in plot["lines"])
        labels = [(line["tone"], line["dash"], line["pattern"]) for line in plot["lines"]]
        assert len(set(labels)) == len(labels), "lines that only their words tell apart"


def test_the_plots_hold_what_was_measured(loaded: Run) -> None:
    data = data_of(made(loaded))
    latency, throughput = data["plots"]["latency-0"], data["plots"]["throughput-0"]
    assert [line["label"] for line in latency["lines"]] == ["P50", "P95", "P99"]
    assert max(latency["lines"][2]["values"]) == pytest.approx(S, rel=0.001)
    assert min(latency["lines"][0]["values"]) == pytest.approx(MS, rel=0.001)
    assert latency["log"] is True
    assert [limit["value"] for limit in latency["limits"]] == [10 * MS, 8 * MS]
    planned, done = throughput["lines"]
    assert (planned["label"], done["label"]) == ("planned", "done OK")
    behind = [taken - ended for taken, ended in zip(planned["values"], done["values"], strict=True)]
    assert sorted(behind)[-2:] == [0, 140]  # 35 arrivals in a window of 250 ms
    assert [limit["value"] for limit in throughput["limits"]] == [300]
    lost = data["plots"]["outcomes-1"]
    assert [line["pattern"] for line in lost["lines"]] == ["timeout", "refused"]
    assert data["phases"][0] == {"name": "warmup", "measured": False, "from": 0, "to": 1}


def test_a_distribution_runs_from_the_fastest_to_the_slowest_of_its_samples(loaded: Run) -> None:
    data = data_of(made(loaded))
    plot = data["plots"]["distribution-0"]
    levels = data["axes"][plot["x"]]
    by_label = {line["label"]: line["values"] for line in plot["lines"]}
    assert list(by_label) == ["response", "service", "lag"]
    response = by_label["response"]
    assert response == sorted(response)
    (found,) = (one for one in latencies(loaded) if one.kind == "response")
    for percent, level in ((90, 1.0), (99, 2.0), (99.9, 3.0)):
        assert response[levels.index(level)] == pytest.approx(found.percentiles_ns[percent], rel=1e-4)
    assert response[-1] == pytest.approx(found.max_ns, rel=1e-4)


def test_faults_are_told_one_by_one_and_over_the_repeats(tmp_path: Path) -> None:
    page = made(KILLS.load(tmp_path))
    words = words_of(page)
    assert "5 x kill redis, median" in words
    assert "5 x kill redis, longest" in words
    assert "2 kill redis 400 µs 500 ms" in words
    assert "pid 102 died; a new one, 103, answers" in words
    assert "0 of 5000 lost: at most 0.06 % with 95 % confidence" in words
    assert "0 false alarms" in words.lower()
    data = data_of(page)
    assert [point["sign"] for point in data["points"][:5]] == ["X", "p", "1", "S", "F"]
    assert data["spans"][0] == [0, 1, pytest.approx(2.0006), pytest.approx(2.3106)]
    assert "svg" in page


def test_faults_that_harmed_nothing_or_never_ended_are_told_too(tmp_path: Path) -> None:
    run = FaultRun(
        sla=["recovery.stable < 10s"],
        faults=[fault(0, 2), fault(1, 4), fault(2, 6, took_effect=False, proof=f"{NASTY} answers")],
        recoveries=[unaffected(0, 2), recovery(1, 4, None)],
    ).load(tmp_path)
    page = made(run)
    words = words_of(page)
    assert "0 kill redis unaffected" in words
    assert "never" in words
    assert "WITHOUT EFFECT" in words
    assert NASTY.strip() in words
    assert judge(run).status.name in page


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (SyntheticRun(sla=["cache.response.p95 < 10ms"], interrupted=True), "Interrupted."),
        (SyntheticRun(), "The scenario has no rules"),
        (
            SyntheticRun(sla=["cache.response.p99 < 10ms"], samples={"cache/get/response/ok": [(MS, 50)]}),
            "This run cannot tell",
        ),
        (SyntheticRun(sla=["cache.response.p95 < 10ms"]), "This run says nothing"),
        (
            SyntheticRun(record={"plan": {"digest": "p", "seed": 1, "quick": True, "overrides": ["a=b c"]}}),
            "Quick run.",
        ),
    ],
    ids=["interrupted", "without-rules", "few-samples", "without-samples", "quick"],
)
def test_a_run_that_says_little_is_rendered_with_a_banner_that_says_so(
    tmp_path: Path, run: SyntheticRun, said: str
) -> None:
    assert said in words_of(made(run.load(tmp_path)))


def test_an_invalid_run_says_first_of_all_why(tmp_path: Path) -> None:
    anomaly = {"code": "saturated", "severity": "invalid", "message": "the generator was too slow"}
    words = words_of(made(SyntheticRun(record={"anomalies": [anomaly]}).load(tmp_path)))
    assert "Invalid. This run says nothing about the system" in words
    assert words.index("the generator was too slow") < words.index("Rules")


def test_texts_from_outside_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    workload = {"errors": [{"operation": "get", "text": NASTY, "count": 3}]}
    record = {
        "scenario": {"name": NASTY, "purpose": NASTY, "text": NASTY, "path": "a b.yaml"},
        "anomalies": [{"code": NASTY, "severity": NASTY, "message": NASTY, "advice": NASTY}],
        "environment": {"key": {NASTY: NASTY}, "facts": {"list": [NASTY]}},
        "stack": {"kind": NASTY, "targets": [{"name": NASTY, "settings": {NASTY: NASTY}}]},
        "phases": [{"name": NASTY, "measured": True, "start_ns": 0, "end_ns": 11 * S}],
    }
    samples = {"cache/get/response/ok": [(MS, 500)]}
    run = SyntheticRun(sla=["cache.response.p95 < 10ms"], samples=samples, workload=workload, record=record)
    page = made(run.load(tmp_path))
    tags = Reader(page).tags
    assert not [tag for tag, attributes in tags if tag == "img" or "onerror" in attributes]
    assert sum(tag == "script" for tag, _ in tags) == 3
    assert words_of(page).count("onerror") >= 12


def test_workers_are_listed_with_their_clocks_and_what_became_of_them(tmp_path: Path) -> None:
    clock = {"same": False, "offset_ns": 1500, "uncertainty_ns": 80_000, "drift_ns": 0}
    one = {"name": "one", "host": "box", "pid": 7, "segment": [1, 2], "workloads": {"cache": [1, 2]}}
    one |= {
        "clock": clock,
        "floor_ns": {"p50": 30_000},
        "idle_ratio": 0.5,
        "planned": 1200,
        "late_windows": 0,
    }
    nothing = dict.fromkeys(("host", "pid", "segment", "clock", "floor_ns", "idle_ratio"))
    two = {"name": "two", **nothing, "workloads": {}, "planned": 0, "late_windows": 3, "lost": NASTY}
    words = words_of(made(SyntheticRun(record={"workers": [one | {"lost": None}, two]}).load(tmp_path)))
    assert "one box, process 7 cache 1 of 2 1 200 off by 1.50 µs, ± 80 µs P50 30 µs 50 % 0 in time" in words
    assert f"two ?, process ? nothing 0 - - - 3 • LOST {NASTY.strip()}" in words


def test_a_long_run_with_many_workloads_stays_below_a_megabyte(tmp_path: Path) -> None:
    names = tuple(f"workload_number_{number:02}" for number in range(20))
    ends = dict.fromkeys(("error", "timeout", "reset", "refused", "dropped"), 7)
    failed = dict.fromkeys(range(30), ends)
    rules = [f"{name}.response.p95 < 10ms warn 8ms" for name in names]
    page = made(WindowedRun(names, windows=130, failed=failed, sla=rules).load(tmp_path))
    assert len(page.encode()) < 1_000_000
    assert all(name in page for name in names)


def test_judging_writes_the_report_and_foreign_rules_leave_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = WindowedRun().write(tmp_path)
    rules = tmp_path / "rules.yaml"
    rules.write_text("- cache.response.p95 < 1us\n")
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 1
    assert not (folder / "report.html").exists()
    assert bench(["judge", str(folder)]) == 0
    first = (folder / "report.html").read_text()
    assert "PASS" in first
    assert bench(["judge", str(folder), "--sla", str(rules), "--write"]) == 1
    assert "1 of 1 rules broken" in (folder / "report.html").read_text()
    assert "report" not in capsys.readouterr().err


def test_a_report_that_fails_is_told_and_changes_nothing_else(tmp_path: Path) -> None:
    folder = WindowedRun().write(tmp_path)
    run = Run.load(folder)
    verdict = judge(run)
    (folder / "series.csv").write_text("start_ns,end_ns\n1,2,3\n")
    told: list[str] = []
    before = sorted(path.name for path in folder.iterdir())
    assert html.save(run, verdict, told.append) is None
    assert len(told) == 1
    assert "report.html could not be written" in told[0]
    assert "series.csv" in told[0]
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_failing_report_does_not_change_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = WindowedRun().write(tmp_path)
    (folder / "series.csv").write_text("start_ns,end_ns\n1,2,3\n")
    assert bench(["judge", str(folder)]) == 0
    assert "report.html could not be written" in capsys.readouterr().err
    assert (folder / "verdict.json").exists()


def test_a_run_of_a_newer_format_is_refused_and_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = WindowedRun().write(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "format": 99}))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert bench(["judge", str(folder)]) == 2
    assert "expected format" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_thousand_anomalies_do_not_make_the_page_too_large(tmp_path: Path) -> None:
    late = {"code": "worker_late", "severity": "note", "message": "<&>" * 300}
    worst = {"code": "worker_lost", "severity": "invalid", "message": "it is gone"}
    run = Run.load(SyntheticRun(record={"anomalies": [*[late] * 1000, worst]}).write(tmp_path))
    page = made(run)
    assert len(page.encode()) < 1_000_000
    assert "901 more are in run.json" in words_of(page)
    assert "it is gone" in words_of(page)
