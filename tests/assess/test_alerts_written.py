"""Alert rules, recording rules and a dashboard: accepted by their own tools, and fed by runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.assess.alerting.dashboard import queries_of
from bench.cli.main import run as command
from bench.exporters.prometheus import PrometheusExporter
from bench.run.plugins import Observers
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.prometheus import Prometheus
from tests.helpers.prometheus import program, prometheus
from tests.helpers.scenarios import CACHE
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.timeout(300)  # the first run of a version compiles
SCENARIO = f"""\
scenario: watched
purpose: a run that a Prometheus scrapes
workloads:
{CACHE}    arrivals: constant
    rate: 500/s
    deadline: 1s
phases:
  - {{name: steady, for: 4s}}
sla: [cache.errors < 1%]
"""
REQUIREMENTS = """\
requirements:
  - key: all
    area: Speed
    demand: fast enough
    proofs:
      - {scenario: watched, rule: cache.response.p95 < 10s warn 8s}
      - {scenario: watched, rule: cache.get.response.p99.9 < 10s}
      - {scenario: watched, rule: response.mean < 10s}
      - {scenario: watched, rule: cache.errors < 5% for 1s}
      - {scenario: watched, rule: cache.throughput >= 100/s}
      - {scenario: watched, rule: redis.cpu < 99%}
      - {scenario: never_run, rule: cache.errors < 1%}
"""


@dataclass(frozen=True)
class Written:
    """The files, and a Prometheus that scraped the run they were made of."""

    folder: Path
    url: str
    port: int

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder = tmp_path_factory.mktemp("alerts")
    program("promtool")
    exporter = PrometheusExporter(0)
    port = int(exporter.address.rpartition(":")[2].partition("/")[0])
    try:
        with prometheus(folder / "p", port, "up == 1") as url:
            (folder / "watched.yaml").write_text(SCENARIO)
            with EmbeddedStack({"redis"}, folder) as stack:
                watchers = Observers([exporter])
                session = Session(stack, folder / "results", Silent(), watchers=watchers)
                session.run(load_scenario(folder / "watched.yaml"))
            (folder / "needs.yaml").write_text(REQUIREMENTS)
            options = ["--requirements", str(folder / "needs.yaml"), "--alerts", str(folder / "made")]
            command(["assess", str(folder / "results"), *options])
            yield Written(folder / "made", url, port)
    finally:
        exporter.close()


def test_promtool_accepts_the_rules(written: Written) -> None:
    files = [str(written.folder / name) for name in ("alerts.yaml", "recording.yaml")]
    done = subprocess.run([program("promtool"), "check", "rules", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 rules found" in done.stdout  # a limit and a warning level of five


def test_what_has_no_alert_is_listed_with_its_rule(written: Written) -> None:
    text = written.text("alerts.yaml")
    assert '"watched: redis.cpu < 99%"' in text
    assert '"never_run: cache.errors < 1%"' in text
    assert "for: 1s" in text
    assert "required: cache.response.p95 < 10s warn 8s; measured:" in text


def test_queries_of_the_dashboard_and_of_the_recordings_return_what_the_run_published(
    written: Written,
) -> None:
    asked = Prometheus(written.url)
    queries = queries_of(written.text("dashboard.json"))
    recorded = [
        json.loads(line.partition("expr: ")[2])
        for line in written.text("recording.yaml").splitlines()
        if "expr: " in line
    ]
    series = [query for query in queries if ":" in query]
    without = [q for q in (*recorded, *queries) if q not in series and not asked.value(f"count({q})")]
    assert without == []
    assert len(series) == 5


def test_an_alert_is_pending_once_its_requirement_is_broken(written: Written, tmp_path: Path) -> None:
    """The run is over: nothing is done any more, and the throughput that is required is missing."""
    pending = 'ALERTS{alertname="HoldfastWatchedCacheThroughputCritical"}'
    with prometheus(tmp_path / "p", written.port, "up == 1", rules=written.folder) as url:
        asked = Prometheus(url)
        eventually(lambda: asked.value(pending), "the alert is pending", 60.0)
        assert asked.value('count(ALERTS{alertname=~"Holdfast.*ErrorsFor1sCritical"})') is None
