"""A real run, looked at by a scraper and two collectors: their numbers are those of the run folder."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.core.histogram import bucket_of
from bench.exporters.choice import Asked, open_exporters
from bench.exporters.figures import BOUNDS_NS
from bench.judge.verdict import Status
from bench.results.reader import Run
from tests.exporters.otlp_receiver import OtlpReceiver, labels_of
from tests.exporters.seen_runs import show, verdict_of

pytestmark = pytest.mark.timeout(300)

SCENARIO = """\
scenario: looked_at
purpose: A run that others look at
workloads:
  - name: idle
    target: none
    driver: noop
    lanes: 4
    operations: {}
    arrivals: poisson
    rate: 400/s
    deadline: 5s
phases:
  - {name: warmup, for: 500ms, measured: false}
  - {name: steady, for: 2s}
sla:
  - idle.response.p95 < 3s
"""
START_S = 180
"""The first run of a version compiles."""


@dataclass
class LookedAt:
    """The run folder and what others saw of it: pages during the run, the last page, two collectors."""

    run: Run
    during: list[str]
    last: str
    otel: OtlpReceiver
    logfire: OtlpReceiver
    err: str


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LookedAt]:
    folder = tmp_path_factory.mktemp("looked_at")
    (folder / "scenario.yaml").write_text(SCENARIO)
    otel, logfire = OtlpReceiver(), OtlpReceiver()
    environment = os.environ | {
        "LOGFIRE_TOKEN": "pylf_v1_eu_hidden",
        "LOGFIRE_BASE_URL": logfire.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=anothers",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
    }
    options = ["--prometheus", "0", "--prometheus-stay", "3600", "--otel", otel.url, "--json"]
    with (folder / "err").open("w") as err:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "bench",
                "run",
                folder / "scenario.yaml",
                "--out",
                folder / "results",
                *options,
            ],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=err,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        pages = _scraped_until_judged(process, folder / "err")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 5), (folder / "err").read_text()
        (path,) = (folder / "results").glob("2*")
        said = (folder / "err").read_text()
        yield LookedAt(Run.load(path), pages[:-1], pages[-1], otel, logfire, said)
    finally:
        process.kill()
        process.wait()
        otel.close()
        logfire.close()


def _scraped_until_judged(process: subprocess.Popen[bytes], err: Path) -> list[str]:
    pages: list[str] = []
    limit = time.monotonic() + START_S
    while time.monotonic() < limit and process.poll() is None:
        address = err.read_text().partition("metrics of the run in progress: ")[2].partition("\n")[0]
        if address:
            with urllib.request.urlopen(address, timeout=10) as answer:
                pages.append(answer.read().decode())
            if "holdfast_verdict" in pages[-1]:
                return pages
        time.sleep(0.05)
    raise AssertionError(err.read_text())


def samples_of(page: str) -> dict[str, list[Any]]:
    return {family.name: family.samples for family in text_string_to_metric_families(page)}


def value(samples: list[Any], **labels: str) -> float:
    """The sum of the samples with these labels."""
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


def test_the_counters_of_the_last_page_are_those_of_the_run_folder(looked_at: LookedAt) -> None:
    families = samples_of(looked_at.last)
    totals = looked_at.run.record.totals
    assert value(families["holdfast_planned_arrivals"]) == totals.planned > 0
    for outcome, count in totals.outcomes.items():
        assert value(families["holdfast_arrivals"], outcome=outcome) == count
    for count in looked_at.run.record.workloads[0].counts:
        if count.phase == "steady":
            labels = {"operation": count.operation, "outcome": "ok", "measured": "true"}
            assert value(families["holdfast_arrivals"], **labels) == count.outcomes["ok"]


def test_every_bucket_of_the_last_page_is_the_count_in_the_log_up_to_that_edge(looked_at: LookedAt) -> None:
    families = samples_of(looked_at.last)
    for kind in ("response", "service"):
        counts = looked_at.run.histogram(kind)
        samples = families[f"holdfast_{kind}_seconds"]
        measured = [one for one in samples if one.labels["measured"] == "true"]
        for bound in BOUNDS_NS:
            seen = sum(
                one.value
                for one in measured
                if one.name.endswith("_bucket") and one.labels["le"] == repr(bound / 1e9)
            )
            assert seen == counts[: bucket_of(bound) + 1].sum()
        whole = sum(one.value for one in measured if one.name.endswith("_count"))
        assert whole == counts.sum() > 0


def test_pages_during_the_run_tell_phase_percentiles_and_growing_counts(looked_at: LookedAt) -> None:
    under_way = [
        families for page in looked_at.during if "holdfast_phase" in page for families in [samples_of(page)]
    ]
    assert any(value(families["holdfast_phase"], phase="steady") == 1 for families in under_way)
    windows = [
        families["holdfast_window_response_seconds"]
        for families in under_way
        if "holdfast_window_response_seconds" in families
    ]
    assert {one.labels["percentile"] for samples in windows for one in samples} == {"50", "95", "99"}
    planned = [value(families.get("holdfast_planned_arrivals", [])) for families in under_way]
    assert planned == sorted(planned)
    assert any("holdfast_generator_idle_ratio" in families for families in under_way)


def test_pages_are_as_prometheus_own_linter_wants_them(looked_at: LookedAt) -> None:
    pages = [page for page in looked_at.during if "holdfast_window_response_seconds" in page]
    assert pages
    for page in (pages[-1], looked_at.last):
        for family in text_string_to_metric_families(page):
            assert family.documentation
            labels = {label for one in family.samples for label in one.labels}
            # These two mean something to Prometheus: buckets of histograms, and parts of summaries.
            assert "quantile" not in labels
            assert ("le" in labels) == (family.type == "histogram"), family.name
            assert all(one.name.endswith("_total") for one in family.samples if family.type == "counter")
        if promtool := shutil.which("promtool"):
            checked = subprocess.run(
                [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
            )
            assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_last_page_tells_the_verdict_that_was_saved(looked_at: LookedAt) -> None:
    families = samples_of(looked_at.last)
    saved = json.loads((looked_at.run.path / "verdict.json").read_text())
    stated = {one.labels["status"]: one.value for one in families["holdfast_verdict"]}
    assert [status for status, number in stated.items() if number] == [saved["status"]]
    checks = {(one.labels["rule"], one.labels["status"]) for one in families["holdfast_check"]}
    assert ("idle.response.p95 < 3s", "PASS") in checks
    rule = next(check for check in saved["checks"] if check["rule"] == "idle.response.p95 < 3s")
    assert value(families["holdfast_check_observed"], rule=rule["rule"]) == rule["observed"]
    (info,) = families["holdfast_run_info"]
    assert info.labels["run"] == looked_at.run.name


def test_both_collectors_have_the_counts_and_histograms_of_the_run_folder(looked_at: LookedAt) -> None:
    totals = looked_at.run.record.totals
    for collector in (looked_at.otel, looked_at.logfire):
        metrics = collector.last_metrics()
        planned = metrics["holdfast.planned_arrivals"].sum
        assert sum(point.as_int for point in planned.data_points) == totals.planned
        assert planned.is_monotonic
        (measured,) = (
            point
            for point in metrics["holdfast.response_seconds"].histogram.data_points
            if labels_of(point)["measured"] == "true"
        )
        counts = looked_at.run.histogram("response")
        assert measured.count == counts.sum()
        assert math.isclose(measured.explicit_bounds[0], BOUNDS_NS[0] / 1e9)
        assert measured.bucket_counts[0] == counts[: bucket_of(BOUNDS_NS[0]) + 1].sum()
        assert sum(measured.bucket_counts) == measured.count
        assert metrics["holdfast.response_seconds"].unit == "s"


def test_a_run_is_one_span_with_its_phases_and_checks(looked_at: LookedAt) -> None:
    for collector in (looked_at.otel, looked_at.logfire):
        (span,) = collector.spans()
        assert span.name == "run looked_at"
        assert labels_of(span)["holdfast.run"] == looked_at.run.name
        assert span.start_time_unix_nano == looked_at.run.record.started.wall_ns
        assert span.end_time_unix_nano - span.start_time_unix_nano >= looked_at.run.record.duration_ns
        phases = {labels_of(event)["name"]: event for event in span.events if event.name == "phase"}
        assert set(phases) == {"warmup", "steady"}
        assert phases["steady"].time_unix_nano - span.start_time_unix_nano == 500_000_000
        checks = [labels_of(event)["rule"] for event in span.events if event.name == "check"]
        assert "idle.response.p95 < 3s" in checks


def test_faults_are_events_of_the_span_and_a_broken_rule_makes_it_an_error() -> None:
    receiver = OtlpReceiver()
    try:
        (exporter,) = open_exporters(Asked(otel_endpoint=receiver.url), print, {})
        show(exporter, verdict_of(Status.FAIL))
        exporter.close()
        (span,) = receiver.spans()
    finally:
        receiver.close()
    begin = span.start_time_unix_nano
    at_ns = {event.name: event.time_unix_nano - begin for event in span.events}
    assert at_ns["fault_effective"] == 1_100_000_000
    assert at_ns["fault_healed"] == 1_500_000_000
    effective = next(event for event in span.events if event.name == "fault_effective")
    assert labels_of(effective) == {"fault": 0, "what": "kill redis", "target": "redis"}
    assert (span.status.code, span.status.message) == (2, "FAIL")


def test_each_collector_is_given_its_own_key_alone(looked_at: LookedAt) -> None:
    for _, headers, _ in looked_at.otel.requests:
        assert headers["api-key"] == "anothers"
        assert "authorization" not in headers
    for _, headers, _ in looked_at.logfire.requests:
        assert headers["authorization"] == "pylf_v1_eu_hidden"
        assert "api-key" not in headers
    assert "hidden" not in looked_at.err
    assert "hidden" not in (looked_at.run.path / "run.json").read_text()


def test_a_port_that_is_taken_ends_the_command_with_2_before_anything_is_run(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        (tmp_path / "scenario.yaml").write_text(SCENARIO)
        done = subprocess.run(
            [sys.executable, "-m", "bench", "run", "scenario.yaml", "--prometheus", port],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"--prometheus {port}: expected a port that is free" in done.stderr
    assert not (tmp_path / "results").exists()
