"""The user's own Prometheus beside a fault: which alert fired and when, and what its queries said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.session_opening import plugins
from bench.core.errors import ScenarioError, TargetError
from bench.judge.judge import judge
from bench.judge.rules_file import rules_in
from bench.judge.verdict import Check, Status
from bench.report import text
from bench.results.reader import Run
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.health import probe
from bench.stack.probes.prometheus import Prometheus, QueryError
from tests.helpers.prometheus import metrics_page, prometheus
from tests.helpers.scenarios import CACHE

pytestmark = [
    pytest.mark.timeout(300),  # the first run of a version compiles
    pytest.mark.usefixtures("one_self_measurement"),
]
RULES = """\
groups:
  - name: ours
    rules:
      - {alert: RedisDown, expr: redis_up == 0}
      - {alert: RedisDownForLong, expr: redis_up == 0, for: 5m}
"""
SCENARIO = f"""\
scenario: alerted
purpose: our alerts fire in time
workloads:
{CACHE}    arrivals: constant
    rate: 500/s
    deadline: 100ms
phases:
  - {{name: steady, for: 9s}}
prometheus:
  url: URL
  every: 200ms
  metrics:
    up: redis_up
    size: {{query: redis_size_bytes, unit: bytes}}
  alerts: {{redis_down: RedisDown, too_slow: RedisDownForLong}}
faults: [{{pause: redis, at: 2s, for: 4s}}]
sla:
  - detection.alert_redis_down < 4s
  - detection.alert_too_slow < 2s
  - promql.size.max < 100MB
  - promql.up.mean < 2
  - promql.up.max > 0 for 1s
"""


@pytest.fixture(scope="module")
def url(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes an exporter of the stack's Redis."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "ours").mkdir()
    (folder / "ours" / "ours.yaml").write_text(RULES)

    def page() -> str:
        up = int(probe(stack.targets()["redis"], 0.1).state == "up")
        return f"redis_up {up}\nredis_size_bytes 5e7\n"

    with metrics_page(page) as port, prometheus(folder / "p", port, "redis_up == 1", folder / "ours") as at:
        yield at


def run(stack: EmbeddedStack, folder: Path, url: str, *overrides: str) -> Run:
    path = folder / "alerted.yaml"
    path.write_text(SCENARIO.replace("URL", f'"{url}"'))
    session = Session(stack, folder / "results", Silent(), plugins=plugins)
    return Run.load(session.run(load_scenario(path, overrides, topology=stack.topology())))


def test_an_alert_that_fires_is_timed_and_one_that_waits_too_long_is_a_miss(
    stack: EmbeddedStack, tmp_path: Path, url: str
) -> None:
    made = run(stack, tmp_path, url)
    verdict = judge(made)
    checks: dict[str, Check] = {check.metric: check for check in verdict.checks}
    (paused,) = made.record.faults
    (fired,) = [one for one in made.record.detections if one.detector == "alert_redis_down"]
    assert paused.effective_ns is not None
    assert fired.at_ns is not None
    assert paused.healed_ns is not None
    assert paused.effective_ns < fired.at_ns < paused.healed_ns
    assert checks["detection.alert_redis_down"].status is Status.PASS
    never = checks["detection.alert_too_slow"]
    assert (never.status, never.observed) == (Status.FAIL, None)
    assert "it was not detected" in never.because
    assert [alarm for alarm in made.record.false_alarms if alarm.detector.startswith("alert_")] == []
    assert "alert_redis_down" in text.render(made, verdict)
    size = checks["promql.size.max"]
    assert (size.status, size.observed, size.unit) == (Status.PASS, 5e7, "bytes")
    assert size.samples is not None
    assert size.samples > 15
    mean, kept = checks["promql.up.mean"], checks["promql.up.max for 1s"]
    assert mean.observed is not None
    assert 0.4 < mean.observed < 0.9
    assert (mean.method, mean.interval is None) == ("batch means", False)
    # On a machine that others use its fall may be their doing.
    assert kept.observed == 0
    assert kept.status is Status.FAIL or (kept.status is Status.INVALID and "others" in kept.because)
    file = tmp_path / "rules.yaml"
    file.write_text("- promql.up.max <= 1\n- detection.alert_redis_down < 1h\n")
    again = judge(made, rules_in(file, made)).checks
    assert [check.status for check in again if check.is_rule] == [Status.PASS, Status.PASS]


def test_alerts_that_do_not_fire_where_nothing_is_broken_are_no_false_alarms(
    stack: EmbeddedStack, tmp_path: Path, url: str
) -> None:
    made = run(stack, tmp_path, url, "faults=[]", "phases.steady.for=1s", 'sla=["promql.up.max < 2"]')
    assert made.record.has("false_alarms")
    assert [one.detector for one in made.record.false_alarms if one.detector.startswith("alert_")] == []


def test_what_cannot_be_asked_is_refused_before_any_load(
    stack: EmbeddedStack, tmp_path: Path, url: str
) -> None:
    with pytest.raises(TargetError, match=r"target prometheus at 127\.0\.0\.1:1: expected a Prometheus"):
        run(stack, tmp_path, "http://user:secret@127.0.0.1:1")
    with pytest.raises(TargetError, match=r"one value for the query up, found.*parse error"):
        run(stack, tmp_path, url, 'prometheus.metrics.up="sum("')
    assert list((tmp_path / "results").glob("*")) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('sla=["promql.nothing.max < 1"]', "expected a metric of this scenario"),
        ('sla=["promql.up.max < 1s"]', "expected a plain count such as 0"),
        ('sla=["detection.alert_nobody < 1s"]', "expected a metric of this scenario"),
        ('prometheus.url="ftp://here"', "expected an address such as"),
        ("prometheus.alerts={gone: {alert: Gone, about: nobody}}", "expected one of the targets"),
        (
            "faults=[{pause: redis, at: 1s, for: 1s}, {pause: postgres, at: 3s, for: 1s}]",
            "expected the target that redis_down is about",
        ),
    ],
)
def test_names_that_nothing_has_are_refused(
    stack: EmbeddedStack, tmp_path: Path, override: str, said: str
) -> None:
    path = tmp_path / "alerted.yaml"
    path.write_text(SCENARIO.replace("URL", '"http://127.0.0.1:9090"'))
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path, [override], topology=stack.topology())
    assert said in str(refused.value)


def test_answers_that_are_no_values_are_told_apart(url: str) -> None:
    asked = Prometheus(url)
    assert asked.value("redis_up") in (0.0, 1.0)
    assert asked.value("no_such_series") is None
    with pytest.raises(QueryError, match="expected one value, found"):
        asked.value('{__name__=~"redis_.*"}')
