"""`stop_when` ends a run early: healed, whole in its folder, and INVALID for what it did not see."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cli.session_opening import needed_targets, plugins
from bench.core.errors import ScenarioError
from bench.judge.judge import judge
from bench.judge.verdict import Status, exit_code
from bench.plan.compile import compile_plan
from bench.report import text
from bench.results.reader import Run
from bench.results.run_record import StoppedRecord
from bench.run.plugins import Observers, WindowView
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.health import probe
from bench.stack.probes.redis import RespClient
from tests.helpers.scenarios import CACHE
from tests.helpers.waiting import eventually

pytestmark = [
    pytest.mark.timeout(300),  # the first run of a version compiles
    pytest.mark.usefixtures("one_self_measurement"),
]
MS, S = 1_000_000, 1_000_000_000
SCENARIO = f"""\
scenario: stopped
purpose: a run that ends where going on would show nothing
workloads:
{CACHE}    arrivals: constant
    rate: 500/s
    deadline: 100ms
phases:
  - {{name: steady, for: 30s}}
sla: [cache.errors < 1%]
"""
WINDOW_NS = 500 * MS


class KilledAt:
    """Kills a process at the end of a window, as an operator's mistake would."""

    def __init__(self, pid: int, window: int) -> None:
        self._pid, self._window = pid, window

    def window(self, view: WindowView) -> None:
        self._window -= 1
        if self._window == 0:
            os.kill(self._pid, signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A stack that does not restart what was killed while these tests look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_RESTART_DELAY", "2s")
        with EmbeddedStack({"redis"}, tmp_path_factory.mktemp("logs")) as stack:
            yield stack


def run(stack: EmbeddedStack, folder: Path, *overrides: str, watcher: Any = None) -> Run:
    path = folder / "stopped.yaml"
    path.write_text(SCENARIO)
    watchers = Observers([watcher] if watcher else [])
    session = Session(stack, folder / "results", Silent(), plugins=plugins, watchers=watchers)
    return Run.load(session.run(load_scenario(path, overrides, topology=stack.topology())))


def stopped_of(run: Run, condition: str) -> StoppedRecord:
    """That a run was stopped for a condition, in time, and that all of it is there."""
    assert run.is_complete
    stopped = run.record.stopped
    assert stopped is not None
    assert (stopped.when, stopped.planned_ns) == (condition, 30 * S)
    assert run.record.duration_ns <= stopped.at_ns + 2 * WINDOW_NS
    assert run.record.measured_ns == stopped.at_ns
    verdict = judge(run)
    (finding,) = [check for check in verdict.checks if check.metric == "validity.stopped"]
    assert finding.because == stopped.sentence
    assert "validity.sums" not in [check.metric for check in verdict.checks]
    assert (verdict.status, int(exit_code([verdict.status]))) == (Status.INVALID, 5)
    assert condition in text.render(run, verdict)
    assert [event["text"] for event in run.events() if event["kind"] == "stopped"] == [stopped.sentence]
    return stopped


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_server_that_is_killed_ends_the_run_within_a_window_of_the_rules_holding(
    lasting: EmbeddedStack, tmp_path: Path, engine: str
) -> None:
    # The one before may have killed it just now.
    eventually(lambda: probe(lasting.targets()["redis"], 1.0).state == "up", "the server answers", 20.0)
    pid = lasting.describe()[0].pid
    overrides = (f"workloads.cache.engine={engine}", 'stop_when=["errors > 50% for 1s"]')
    made = run(lasting, tmp_path, *overrides, watcher=KilledAt(pid, 2))
    stopped = stopped_of(made, "errors > 50% for 1s")
    assert S <= stopped.at_ns - stopped.since_ns < S + 2 * WINDOW_NS
    assert made.record.totals is not None
    assert made.record.totals.planned < 0.5 * 500 * 30


def test_a_fault_that_holds_is_healed_and_later_ones_are_not_made(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    faults = "faults=[{pause: redis, at: 1s, for: 10s}, {kill: redis, at: 20s}]"
    made = run(stack, tmp_path, faults, 'stop_when=["cache.errors > 50% for 1s"]')
    stopped = stopped_of(made, "cache.errors > 50% for 1s")
    (paused, *later) = made.record.faults
    assert (paused.took_effect, paused.healed) == (True, True)
    assert paused.healed_ns is not None
    assert paused.healed_ns < stopped.at_ns + 2 * WINDOW_NS
    assert [fault.took_effect for fault in later] in ([], [False])
    metrics = [check.metric for check in judge(made).checks]
    assert "validity.fault_without_effect" not in metrics
    with RespClient(stack.targets()["redis"].host, stack.targets()["redis"].port, 5.0) as redis:
        assert redis.ask("PING") is not None


def test_a_target_that_is_down_for_so_long_ends_the_run(stack: EmbeddedStack, tmp_path: Path) -> None:
    made = run(
        stack,
        tmp_path,
        "faults=[{pause: redis, at: 1s, for: 15s}]",
        "stop_when=[{down: redis, for: 2s}]",
    )
    stopped = stopped_of(made, "redis down for 2 s")
    assert 1 * S <= stopped.since_ns < 4 * S
    assert stopped.at_ns - stopped.since_ns >= 2 * S


def test_a_run_whose_conditions_never_hold_goes_on_to_its_end(stack: EmbeddedStack, tmp_path: Path) -> None:
    conditions = 'stop_when=["errors > 50% for 500ms", "throughput < 1/s for 500ms", {down: redis, for: 1s}]'
    made = run(stack, tmp_path, "phases.steady.for=2s", conditions)
    assert made.record.stopped is None
    assert made.record.totals is not None
    assert made.record.totals.planned == 2 * 500


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('["errors > 50% warn 10% for 1s"]', "expected a warn level"),
        ('["errors > 50% warn 60% for 1s"]', "expected no warn level"),
        ('["errors > 50% for 31s"]', "expected a duration of at most 30 s, which the run lasts"),
        ('["cpu > 50% for 1s"]', "expected one of response, response_ok, service, errors, throughput"),
        ('["nonsense.errors > 50% for 1s"]', "expected a metric of this scenario"),
        ("[{down: nobody}]", "expected one of the targets"),
        ("[{down: redis, for: 30s}]", "expected a time shorter than the run"),
        ("[{for: 30s}]", "expected a rule as text, or down: and a target"),
        ("[7]", "expected a rule such as"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(
    stack: EmbeddedStack, tmp_path: Path, condition: str, said: str
) -> None:
    path = tmp_path / "stopped.yaml"
    path.write_text(SCENARIO)
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path, [f"stop_when={condition}"], topology=stack.topology())
    assert said in str(refused.value)


def test_a_target_to_look_at_is_started_and_no_plan_changes(tmp_path: Path) -> None:
    path = tmp_path / "stopped.yaml"
    path.write_text(SCENARIO)
    without = load_scenario(path)
    asked = load_scenario(path, ["stop_when=[{down: postgres, for: 5s}]"])
    assert needed_targets([asked]) == {"redis", "postgres"}
    assert compile_plan(asked.scenario).digest == compile_plan(without.scenario).digest
