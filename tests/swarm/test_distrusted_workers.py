"""A worker that sends what cannot be is refused by name; the others, and the run, go on."""

from __future__ import annotations

import base64
import copy
import json
import queue
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import TargetError, UsageError
from bench.core.outcome import OUTCOME_COUNT
from bench.plan.compile import compile_plan
from bench.plan.plan import Segment
from bench.scenario.load import load_scenario
from bench.stack.stack import Stack
from bench.stack.target import Target
from bench.swarm.distributed import trust
from bench.swarm.distributed.coordinator import Coordinator
from bench.swarm.distributed.engine_host import EngineHost
from bench.swarm.distributed.messages import (
    FROM_HOST,
    TO_HOST,
    Failed,
    HostMessage,
    Planned,
    TakePlan,
    Window,
    unpacked_bytes,
)
from bench.swarm.distributed.plan_codec import PlanMessage
from bench.swarm.distributed.worker import RemotePart
from tests.swarm.hosts_in_threads import findings_of, run_of, swarm, text_of

LIVE = {
    **dict.fromkeys(("taken", "in_flight", "connected", "idle_ns", "elapsed_ns"), 1),
    "lost_connections": 0,
    "reconnections": 0,
    "run_delay_ns": 0,
    "outcomes": [1] * OUTCOME_COUNT,
    "answers": {},
}
WINDOW: dict[str, Any] = {
    "kind": "window",
    "workload": 0,
    "number": 0,
    "is_last": False,
    "live": LIVE,
    "events": [],
    "gains": [[0, "response", 0, [100, 101], [3, 2]], [0, "service", 0, [100], [5]]],
}
RESULT: dict[str, Any] = {
    "kind": "result",
    "workload": 0,
    "gains": [],
    "logs": [5],
    "result": {
        "taken": [5, 0, 0, 0],
        "tallies": [[5, *[0] * (OUTCOME_COUNT - 1)], *[[0] * OUTCOME_COUNT] * 3],
        "idle_ratio": 0.9,
        "busy_ns": 1.0,
        "run_delay_ns": 0,
        "counters": {},
        "errors": [],
        "anomalies": [],
        "answers": [],
        "phase_idle_ratios": None,
        "phase_lag_p50_ns": [None, 5],
        "pool": None,
    },
}


@pytest.fixture
def members(tmp_path: Path) -> Coordinator:
    """One worker with half of a plan of two phases and two operations, 1000/s for 0.5 s."""
    path = tmp_path / "spread.yaml"
    path.write_text(text_of(arrivals="constant\n    rate: 1000/s"), encoding="utf-8")
    plan = compile_plan(load_scenario(path).scenario)
    made = Coordinator(["liar", "honest"], lambda *_: None)
    for worker in made.workers.values():
        worker.parts[0] = RemotePart.of(Segment(0, 2), plan.workloads[0], plan.duration_ns)
    return made


def changed(message: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The message with one value changed; `path` as in gains.0.4"""
    found = copy.deepcopy(message)
    place: Any = found
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in way:
        place = place[key]
    place[last] = value
    return found


def test_messages_that_can_be_are_taken(members: Coordinator) -> None:
    for name in members.workers:
        members.hear(name, WINDOW)
        members.hear(name, changed(changed(WINDOW, "number", 1), "gains", []))
        members.hear(name, RESULT)
        assert members.workers[name].lost_because is None
        assert members.workers[name].parts[0].result is not None


@pytest.mark.parametrize(
    ("message", "because"),
    [
        (None, "no message"),
        ([1], "no message"),
        ("window", "no message"),
        ({}, "unknown kind"),
        ({"kind": ["window"]}, "unknown kind"),
        ({"kind": "plan", "plan": {}}, "unknown kind"),
        ({"kind": "window", "workload": 0}, "damaged message: window"),
        ({"kind": "late", "workload": 0, "by_ns": "x"}, "damaged message: late"),
        ({"kind": "planned", "workload": [0]}, "damaged message"),
        ({"kind": "calibrated", "calibration": {"floor_ns": {"p50": "slow"}}}, "calibrated.calibration"),
        ({"kind": "calibrated", "calibration": 7}, "calibrated.calibration"),
        ({"kind": "beat", "generator_cpu_ratio": "all"}, "damaged message: beat"),
        ({"kind": "failed", "workload": 0, "error": {}}, "damaged message: failed"),
        (
            {
                "kind": "here",
                "sent_ns": 1,
                "at_ns": 2,
                "host": "x",
                "pid": 1,
                "protocol": 1,
                "boot": "",
                "time_namespace": "",
                "network_namespace": "",
            },
            "a question that was not asked",
        ),
        (changed(WINDOW, "number", -1), "window -1 after window -1"),
        (changed(WINDOW, "number", True), "damaged message"),
        (changed(WINDOW, "number", 2**70), "damaged message"),
        (changed(WINDOW, "gains.0.4", [-3, 2]), "window.gains.0.4.0: Input should be greater than"),
        (changed(WINDOW, "gains.0.4", [3.5, 2]), "window.gains.0.4.0: Input should be a valid integer"),
        (changed(WINDOW, "gains.0.4", [3]), "buckets have no counts"),
        (changed(WINDOW, "gains.0.4", [2**60, 2]), "window.gains.0.4.0: Input should be less than"),
        (changed(WINDOW, "gains.0.4", [400, 2]), "it claims 402 arrivals"),
        (changed(WINDOW, "gains.0.3", [100, 10**9]), "window.gains.0.3.1: Input should be less than"),
        (changed(WINDOW, "gains.0.3", [101, 101]), "window.gains.0.3: Value error, one bucket twice"),
        (changed(WINDOW, "gains.0.0", 4), "not in the plan"),
        (changed(WINDOW, "gains.0.0", -1), "window.gains.0.0: Input should be greater than"),
        (changed(WINDOW, "gains.0.2", OUTCOME_COUNT), "window.gains.0.2: Input should be less than"),
        (changed(WINDOW, "gains.0.1", "<b>"), "window.gains.0.1: String should match"),
        (changed(WINDOW, "gains.0", ["x"]), "damaged message: window.gains.0"),
        (changed(WINDOW, "live.taken", "many"), "damaged message"),
        (changed(WINDOW, "live.in_flight", -1), "window.live.in_flight: Input should be greater than"),
        (changed(WINDOW, "live.in_flight", 2**60), "window.live.in_flight: Input should be less than"),
        (changed(WINDOW, "live.idle_ns", -(2**60)), "window.live.idle_ns: Input should be greater than"),
        (changed(WINDOW, "live.outcomes", [1]), "window.live.outcomes: Tuple should have at least"),
        (changed(WINDOW, "live.answers", {"hits": -1}), "a count that cannot be"),
        (changed(WINDOW, "live.answers", {"statuses": {"x": 1}}), "damaged message"),
        (changed(WINDOW, "live.more", 1), "damaged message"),
        (changed(WINDOW, "events", [{"at_ns": 1, "kind": "x", "self": 1}]), "events that cannot be"),
        (changed(WINDOW, "events", [{"at_ns": "now", "kind": "x"}]), "damaged message"),
    ],
)
def test_a_message_that_cannot_be_makes_its_worker_refused_and_nobody_else(
    members: Coordinator, message: Any, because: str
) -> None:
    members.hear("liar", message)
    members.hear("honest", WINDOW)
    assert because in (members.workers["liar"].lost_because or "")
    assert members.workers["honest"].lost_because is None
    assert members.workers["liar"].parts[0].tallies.sum() == 0
    assert members.workers["honest"].parts[0].tallies.sum() == 5


@pytest.mark.parametrize(
    ("path", "value", "because"),
    [
        ("result.tallies.0.0", 6, "not the sum of the windows"),
        ("result.tallies.0.0", -5, "tallies.0.0: Input should be greater than"),
        ("result.tallies.0", [5], "tallies.0: List should have at least"),
        ("result.taken", [5], "rows that are not in the plan"),
        ("result.taken.0", -1, "taken.0: Input should be greater than"),
        ("result.counters", {"user_errors": -1}, "counters.user_errors: Input should be greater than"),
        ("result.phase_lag_p50_ns", [1], "1 phases, where the plan has 2"),
        ("result.idle_ratio", None, "damaged message"),
        ("result.errors", [{"operation": "get"}], "damaged message"),
        ("result.errors", [{"operation": "a", "text": "b", "count": 1, "example": 1}], "damaged message"),
        ("result.answers", 7, "damaged message"),
        ("result.answers", [[0, {"hits": "many"}]], "damaged message"),
        ("logs", [10**9], "more records"),
        ("logs", [-1], "logs.0: Input should be greater than"),
        ("result.answers", [[0, {"hits": -1}]], "a count that cannot be"),
    ],
)
def test_a_result_that_is_not_what_was_sent_is_refused(
    members: Coordinator, path: str, value: Any, because: str
) -> None:
    members.hear("liar", WINDOW)
    members.hear("liar", changed(RESULT, path, value))
    assert because in (members.workers["liar"].lost_because or "")
    assert members.workers["liar"].parts[0].result is None


def test_a_second_result_and_a_window_after_the_last_are_refused(members: Coordinator) -> None:
    for name, then in (("liar", RESULT), ("honest", changed(WINDOW, "number", 1))):
        members.hear(name, WINDOW)
        members.hear(name, RESULT)
        members.hear(name, then)
        assert members.workers[name].lost_because is not None


def test_a_bomb_in_the_place_of_a_log_is_not_unpacked() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    for text in (bomb, "%%%", base64.b64encode(b"no zlib").decode(), bomb[: len(bomb) // 8 * 4]):
        with pytest.raises(ValueError, match=r"."):
            unpacked_bytes(text, 1_000_000)


Lie = Callable[[dict[str, Any]], Any]
LIES: dict[str, Lie] = {
    "negative": lambda m: {**m, "gains": [[0, "response", 0, [5], [-5]]]},
    "too many": lambda m: {**m, "gains": [[0, "response", 0, [5], [10_000]]]},
    "no object": lambda m: [m],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_run_with_a_liar_is_invalid_and_whole_for_the_others(
    redis_for_swarms: Stack, short_lead: None, tmp_path: Path, lie: str
) -> None:
    with swarm(tmp_path / "swarm", 2) as made:
        liar = made.hosts["w2"]
        say = liar.host._send

        def lying(message: HostMessage) -> None:
            if isinstance(message, Window) and message.number == 3:
                made.fleet.hear("w2", LIES[lie](json.loads(FROM_HOST.write(message))))
            else:
                say(message)

        liar.host._send = lying
        run = run_of(tmp_path / "run", redis_for_swarms, text_of(), made)
    assert "w2" in findings_of(run)["worker_lost"]
    assert "refused, because it" in findings_of(run)["worker_lost"]
    states = {worker.name: worker.lost for worker in run.record.workers}
    assert states["w1"] is None
    assert run.record.totals.planned == sum(run.record.totals.outcomes.values())
    (honest,) = [worker for worker in run.record.workers if worker.name == "w1"]
    assert honest.planned > 100
    json.dumps(run.record.to_json())
    assert all(np.isfinite(row["planned"]) for row in run.series())


# --- what a worker lets a master do ------------------------------------------------------------------


def told_by(folder: Path, plan: PlanMessage) -> HostMessage:
    """What a worker answers to a plan."""
    said: queue.SimpleQueue[HostMessage] = queue.SimpleQueue()
    EngineHost(said.put, folder).hear(json.loads(TO_HOST.write(TakePlan(plan))))
    return said.get(timeout=60)


def test_a_worker_runs_a_locustfile_that_was_sent_only_where_its_owner_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(trust.LOCUSTFILES_VARIABLE, raising=False)
    scenario = Path(__file__).parents[2] / "scenarios" / "api_locust_journey.yaml"
    plan = PlanMessage.of(compile_plan(load_scenario(scenario).scenario))
    answer = told_by(tmp_path, plan)
    assert isinstance(answer, Failed)
    assert "--allow-locustfiles" in answer.error.message
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(trust.LOCUSTFILES_VARIABLE, "1")
    assert told_by(tmp_path, plan) == Planned()


def test_a_worker_sends_load_only_to_hosts_that_its_owner_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_ALLOW_HOSTS", raising=False)
    far = Target("redis", "redis", "192.0.2.1", 6379)
    with pytest.raises(TargetError, match=r"HOLDFAST_ALLOW_HOSTS=192\.0\.2\.1"):
        trust.check_target(far)
    trust.check_target(Target("redis", "redis", "127.0.0.1", 6379))
    trust.check_target(None)
    monkeypatch.setenv("HOLDFAST_ALLOW_HOSTS", "192.0.2.1")
    trust.check_target(far)


def test_a_fork_of_the_master_may_what_the_master_may(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in trust.trust_variables(is_fork=True, may_run_files=False).items():
        monkeypatch.setenv(name, value)
    trust.check_target(Target("redis", "redis", "192.0.2.1", 6379))
    trust.check_locustfiles(["x.py"])
    monkeypatch.undo()
    assert trust.trust_variables(is_fork=False, may_run_files=False) == {}
    with pytest.raises(UsageError):
        trust.check_locustfiles(["x.py"])
