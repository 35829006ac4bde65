"""What a run says of its faults: nothing where nothing was done, the truth where a target is late or gone."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from bench.judge.verdict import Status
from bench.report import text
from bench.report.html import run_page
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.health import probe
from bench.stack.target import Target
from chaos.plugin import Chaos
from tests.chaos.in_process import Ended, run, undisturbed_run
from tests.chaos.outage_edges import CLOSE_NS, compared
from tests.chaos.outage_list import scenario_text
from tests.helpers.other_work import is_excused, undisturbed, was_held_up
from tests.helpers.waiting import eventually

if TYPE_CHECKING:
    from bench.results.writer import RunWriter
    from bench.stack.stack import Stack

pytestmark = [
    pytest.mark.timeout(300),  # the first run of a version compiles
    pytest.mark.usefixtures("one_self_measurement"),
]
MS = 1_000_000


@pytest.fixture
def restarting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stack whose supervisor waits so long before it restarts."""

    def start(delay: str) -> EmbeddedStack:
        monkeypatch.setenv("HOLDFAST_RESTART_DELAY", delay)
        return EmbeddedStack({"redis"}, tmp_path)

    return start


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_run_that_breaks_nothing_finds_nothing(stack: EmbeddedStack, tmp_path: Path, seed: int) -> None:
    fault = "{nothing: redis, at: 300ms, repeat: 3, every: 400ms, jitter: 100ms}"
    rules = 'sla=["recovery.stable < 1s", "false_alarms == 0", "downtime < 1ms", "cache.errors < 1%"]'
    longer = ("workloads.cache.deadline=20s", "phases.steady.for=2s")
    ended = undisturbed(
        lambda: run(stack, tmp_path, fault, f"seed={seed}", rules, *longer),
        lambda ended: ended.status is not Status.PASS and was_held_up(ended.run.path),
    )
    # A machine that stands still makes answers late, and the run then says that the delay may be its own.
    assert ended.status in (Status.PASS, Status.INVALID), ended.verdict
    assert [fault.took_effect for fault in ended.record.faults] == [True] * 3
    assert ended.record.detections == ended.record.false_alarms == []
    # 2,000 arrivals are too few for a rule to judge a tenth of a percent, so every one is counted here.
    totals = ended.record.totals
    assert totals.outcomes["ok"] == totals.planned == 2000
    assert {one.failed for one in ended.record.recoveries} == {0}
    if ended.status is Status.PASS:
        assert {one.state for one in ended.record.recoveries} == {"unaffected"}


def test_every_stamp_of_a_kill_is_in_the_record_and_in_its_order(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    for length in ("2400ms", "10s", "30s"):
        ended = undisturbed_run(stack, tmp_path, "{kill: redis, at: 600ms}", f"phases.steady.for={length}")
        if ended.status is not Status.INCONCLUSIVE:
            break  # on a busy machine the server may be back too late for a short run to see it
    assert ended.status in (Status.PASS, Status.WARN), ended.verdict
    (fault,) = ended.record.faults
    assert fault.took_effect
    assert fault.healed
    assert fault.planned_ns == 600 * MS
    assert fault.planned_ns <= fault.asked_ns <= fault.effective_ns < fault.healed_ns
    assert fault.asked_ns <= fault.returned_ns
    (recovery,) = ended.record.recoveries
    assert fault.asked_ns <= recovery.first_failure_ns < recovery.first_success_ns
    assert recovery.first_success_ns <= recovery.stable_ns
    detected = {one.detector: one.at_ns for one in ended.record.detections}
    assert {"client_errors", "probe", "engine_event"} <= detected.keys()
    assert detected["engine_event"] is not None
    assert detected["engine_event"] >= fault.asked_ns
    kinds = [event["kind"] for event in ended.run.events()]
    for kind in ("fault_asked", "fault_effective", "fault_healed", "service_died", "service_restarted"):
        assert kinds.count(kind) == 1
    assert {"mended_by", "how", "proof"} <= fault.model_fields_set


class WithApi:
    """The stack of a command of which another scenario needs an API too."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)

    def targets(self) -> dict[str, Target]:
        return {**self._stack.targets(), "api": Target("api", "http", "127.0.0.1", 9)}


@pytest.mark.long
def test_the_detectors_of_a_scenario_do_not_depend_on_what_else_is_in_the_command(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    """No load goes to that API, so its circuit breaker has no reason to open and would have missed all."""
    broken = "{kill: redis, at: 300ms}"
    shared = run(cast("Stack", WithApi(stack)), tmp_path, broken, "phases.steady.for=1500ms")
    alone = run(stack, tmp_path, broken, "phases.steady.for=1500ms")
    detectors = [{one.detector for one in ended.record.detections} for ended in (shared, alone)]
    assert detectors[0] == detectors[1] == {"client_errors", "probe", "engine_event"}
    assert not shared.record.has("breaker_open_ns")


@pytest.mark.long
def test_a_supervisor_that_is_late_fails_the_rule_of_recovery(restarting: Any, tmp_path: Path) -> None:
    with restarting("700ms") as stack:
        # So far beyond its limit that no other work on the machine can be the reason.
        rule = "sla.0=recovery.stable < 30ms"
        fault = "{kill: redis, at: 200ms}"
        ended = undisturbed_run(stack, tmp_path, fault, rule, "phases.steady.for=2500ms")
    assert ended.status is Status.FAIL
    observed = ended.check("recovery.stable").observed
    assert observed is not None
    assert observed > 700 * MS


@pytest.mark.long
def test_a_target_that_never_comes_back_fails_with_the_time_waited_and_the_run_ends(
    restarting: Any, tmp_path: Path
) -> None:
    def attempt() -> Ended:
        with restarting("1h") as stack:
            return run(stack, tmp_path, "{kill: redis, at: 200ms}", "phases.steady.for=1500ms")

    ended = undisturbed(attempt, lambda ended: is_excused(ended.run.path))
    check = ended.check("recovery.stable")
    assert check.status is Status.FAIL
    assert ended.status is Status.FAIL, ended.verdict
    assert "did not come back, waited 1." in check.because
    (fault,) = ended.record.faults
    assert fault.took_effect
    assert not fault.healed
    assert ended.record.duration_ns < 60_000 * MS


def test_a_fault_that_hits_nothing_makes_the_run_invalid(restarting: Any, tmp_path: Path) -> None:
    with restarting("1h") as stack:
        fault = "{kill: redis, at: 300ms, repeat: 2, every: 500ms}"
        ended = run(stack, tmp_path, fault, "phases.steady.for=1500ms")
    assert ended.status is Status.INVALID
    assert "it is down already" in ended.check("validity.fault_without_effect").because
    assert [fault.took_effect for fault in ended.record.faults] == [True, False]


@pytest.mark.long
def test_faults_of_different_targets_at_one_moment_each_have_their_own_detection(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    """Neither makes the other late, though a checkpoint is waited for; and a pause is longer than a kill."""
    database = (
        "{name: bank, target: postgres, driver: postgres, lanes: 2, operations: {one: {sql: SELECT 1}},"
        " arrivals: constant, rate: 200/s, deadline: 100ms}"
    )
    faults = (
        "faults=[{pause: redis, at: 1s, for: 500ms}, {kill: postgres, at: 1s, when: postgres_checkpoint}]"
    )
    for length in ("3s", "12s", "30s"):
        steady = f"phases.steady.for={length}"
        eventually(lambda: probe(stack.targets()["postgres"], 1.0).state != "down", "the database is back")
        ended = run(stack, tmp_path, "", f"workloads.+={database}", faults, steady, "sla=[]")
        redis, postgres = ended.record.faults
        if redis.healed and postgres.healed:
            break  # on a busy machine a checkpoint and a restart may take longer than a short run
    if redis.kind != "pause":
        redis, postgres = postgres, redis
    assert redis.took_effect, redis
    assert postgres.took_effect, postgres
    assert redis.healed
    assert postgres.healed
    detected = {(one.fault, one.detector): one.at_ns for one in ended.record.detections}
    for fault in (redis, postgres):
        assert detected[fault.number, "engine_event"] >= fault.asked_ns
    # A pause of half a second outlasts every deadline; a kill may be over before clients lose anything.
    assert detected[redis.number, "client_errors"] is not None
    bank = next(
        one for one in ended.record.recoveries if (one.fault, one.workload) == (postgres.number, "bank")
    )
    assert detected[postgres.number, "client_errors"] is not None or bank.failed < 10
    assert redis.heal_asked_ns >= 1500 * MS


@pytest.mark.parametrize("errors", [0, pytest.param(5, marks=pytest.mark.long)])
def test_the_edges_of_outages_are_those_that_an_independent_observer_sees(
    stack: EmbeddedStack, tmp_path: Path, errors: int
) -> None:
    """Of a process and of the way to it, beside a stray error at each call; also with errors all the time."""
    scenario = tmp_path / "observed.yaml"
    scenario.write_text(scenario_text(("kill", "black_hole", "pause"), 1000, errors, first_ms=700))
    found = compared(stack, scenario, tmp_path, strays=True)
    assert len(found.edges) >= 2  # a kill while it still loads its data has no edge of its own
    apart = sorted(abs(ns) for one in found.edges for ns in (one.failure_apart_ns, one.success_apart_ns))
    # On a machine that others use no edge is known better than the generator itself was on time.
    assert apart[(len(apart) - 1) // 2] <= CLOSE_NS + found.late_ns, found


def _kill_soon(stack: EmbeddedStack, after_s: float) -> threading.Timer:
    """Somebody else, of whom the run knows nothing, kills Redis."""
    (entry,) = [target for target in stack.describe() if target.name == "redis"]
    timer = threading.Timer(after_s, os.kill, (entry.pid, signal.SIGKILL))
    timer.start()
    return timer


def test_an_outage_that_nobody_here_made_is_in_the_record_and_in_the_report_and_judged_where_we_look_on(
    restarting: Any, tmp_path: Path
) -> None:
    with restarting("500ms") as stack:
        seen: list[threading.Timer] = []

        class Killing(Chaos):
            def begin(self, start_ns: int, writer: RunWriter) -> None:
                super().begin(start_ns, writer)
                seen.append(_kill_soon(stack, 1.0))

        ended = run(
            stack,
            tmp_path,
            "{observe: redis, at: 300ms}",
            'sla=["recovery.first < 10s", "cache.errors < 1%"]',
            companion=Killing,
        )
        seen[0].join()
    # A machine that stands still for a moment has outages of its own, which are shorter.
    outage = max(ended.record.outages, key=lambda one: one.until_ns - one.from_ns)
    assert (outage.workload, outage.whose, outage.fault) == ("cache", "nobody", None)
    assert outage.until_ns - outage.from_ns > 450 * MS  # to a window
    told = [(event["at_ns"], event["whose"]) for event in ended.run.events() if event["kind"] == "outage"]
    assert (outage.from_ns, "nobody") in told
    (recovery,) = ended.record.recoveries
    assert recovery.downtime_ns > 500 * MS
    assert ended.check("recovery.first").status is Status.PASS
    errors = ended.check("cache.errors")
    # On a busy machine the rule says so instead.
    assert errors.status is not Status.FAIL or "no fault of this run was there" in str(errors.advice)
    assert "nobody's" in text.render(ended.run, ended.verdict)
    assert "Without any success" in run_page.render(ended.run, ended.verdict)


def test_the_record_of_a_run_with_faults_is_plain_json(stack: EmbeddedStack, tmp_path: Path) -> None:
    ended = run(stack, tmp_path, "{restart: redis, at: 200ms}", "phases.steady.for=800ms")
    record = json.loads((ended.run.path / "run.json").read_text())
    assert record["faults"][0]["kind"] == "restart"
    assert record["faults"][0]["healed"] is True
