"""Whole runs of locustfiles against a real server: what was asked is what is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.core.errors import StatementRefused, TargetError
from bench.core.histogram import max_ns, percentile_ns
from bench.core.outcome import Outcome
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from tests.engine.locust.locust_runs import LocustRun, drive, engine_of, plan_of
from tests.engine.locust.troubled_shop import SLOW_S, TroubledShop
from tests.helpers.processes import child_process
from tests.helpers.waiting import eventually

Writer = Callable[[str], Path]

EVERYTHING = """\
import time
from locust import FastHttpUser, HttpUser, LoadTestShape, User, constant, events, task

class Fast(FastHttpUser):
    fixed_count = 2
    wait_time = constant(0.01)
    connection_timeout = 0.5
    @task
    def all_of_it(self):
        self.client.get("/ok", name="ok")
        self.client.get("/broken", name="broken")
        with self.client.get("/ok", name="disliked", catch_response=True) as answer:
            answer.failure("not what was wanted")

class Plain(HttpUser):
    fixed_count = 2
    wait_time = constant(0.01)
    @task(20)
    def all_of_it(self):
        self.client.get("/ok", name="ok")
        with self.client.get("/broken", name="liked", catch_response=True) as answer:
            answer.success()
        self.client.get("/reset", name="reset")
        self.client.get("http://127.0.0.1:CLOSED/", name="refused")
        self.client.get("/ok?token=s3cr3t")
    @task(1)
    def late(self):
        self.client.get("/slow", name="slow")
    @task(1)
    def dropped(self):
        with self.client.get("/ok", name="dropped", catch_response=True):
            raise ValueError("password=s3cr3t/pass")

class Own(User):
    fixed_count = 1
    wait_time = constant(0.01)
    @task
    def told(self):
        self.environment.events.request.fire(
            request_type="OWN", name="told", response_time=12.345678, response_length=0, exception=None
        )
        with self.environment.events.request.measure("OWN", "measured"):
            time.sleep(0.002)

class Shape(LoadTestShape):
    def tick(self):
        return 1, 1
"""

OPERATIONS = {
    name: {} for name in ("ok", "broken", "disliked", "liked", "reset", "refused", "slow", "dropped", "told")
} | {"measured": {"locust": "OWN measured"}, "absent": {}}


@pytest.fixture(scope="module")
def everything(target: Target, tmp_path_factory: pytest.TempPathFactory) -> LocustRun:
    folder = tmp_path_factory.mktemp("everything")
    file = folder / "journey.py"
    file.write_text(EVERYTHING.replace("CLOSED", str(free_loopback_port())), encoding="utf-8")
    phases = [{"name": "first", "for": "1s", "measured": False}, {"name": "second", "for": "1500ms"}]
    plan = plan_of(file, phases, operation_log=True, lanes=5, deadline="300ms", operations=OPERATIONS)
    return drive(plan, target, folder)


def test_every_request_is_counted_once_in_histograms_log_and_tallies(everything: LocustRun) -> None:
    everything.assert_adds_up()
    assert everything.result.tallies.sum() > 100


@pytest.mark.parametrize(
    ("operation", "outcome"),
    [
        ("broken", Outcome.ERROR),
        ("disliked", Outcome.ERROR),
        ("dropped", Outcome.ERROR),
        ("refused", Outcome.REFUSED),
        ("reset", Outcome.RESET),
        ("slow", Outcome.TIMEOUT),
    ],
)
def test_a_request_ends_as_what_happened_to_it(
    everything: LocustRun, operation: str, outcome: Outcome
) -> None:
    assert set(everything.outcomes(operation)) == {outcome}


def test_what_the_locustfile_takes_for_a_success_is_one(everything: LocustRun) -> None:
    assert Outcome.OK in everything.outcomes("ok")
    assert Outcome.OK in everything.outcomes("liked")


def test_a_late_answer_is_charged_the_time_that_it_took(everything: LocustRun) -> None:
    assert percentile_ns(everything.counts("response", "slow"), 50) >= SLOW_S * 1e9


def test_a_time_that_a_custom_client_tells_is_kept_to_three_digits(everything: LocustRun) -> None:
    counts = everything.counts("response", "told")
    assert percentile_ns(counts, 50) == pytest.approx(12_345_678, rel=1e-3)
    assert (counts > 0).sum() == 1
    assert percentile_ns(everything.counts("service", "measured"), 50) >= 2_000_000


def test_a_request_belongs_to_the_phase_in_which_it_began(everything: LocustRun) -> None:
    log = np.array(everything.log)
    began_first = log["planned_ns"] < 10**9
    assert (log["phase"] == np.where(began_first, 0, 1)).all()
    assert set(log["phase"]) == {0, 1}
    assert log["planned_ns"].max() < everything.plan.duration_ns


def test_what_no_operation_names_is_in_other_and_said_without_its_query(everything: LocustRun) -> None:
    assert everything.outcomes("other")
    ((severity, message),) = everything.notes("unnamed_requests")
    assert severity == "note"
    assert "GET /ok?..." in message
    assert "s3cr3t" not in message


def test_an_operation_without_any_request_is_said(everything: LocustRun) -> None:
    ((_, message),) = everything.notes("operations_unseen")
    assert message.endswith("absent (absent)")


def test_a_shape_that_is_not_used_and_exceptions_in_tasks_are_said(everything: LocustRun) -> None:
    assert "Shape is not used" in everything.notes("shape_unused")[0][1]
    assert "ValueError: password=***" in everything.notes("task_errors")[0][1]


def test_errors_are_told_with_their_counts_and_without_secrets(everything: LocustRun) -> None:
    texts = everything.texts()
    assert texts["broken", "HTTP 500"] == sum(everything.outcomes("broken").values())
    assert texts["disliked", "not what was wanted"] == sum(everything.outcomes("disliked").values())
    assert texts["dropped", "an exception left its with-block"] > 0
    assert "s3cr3t" not in str(texts)


def test_users_log_in_with_the_login_of_the_target(everything: LocustRun, shop: TroubledShop) -> None:
    assert "Basic YW5uOnMzY3IzdC9wYXNz" in shop.logins


COMING_AND_GOING = """\
from locust import HttpUser, constant, task

class Quick(HttpUser):
    weight = 3
    wait_time = constant(0.02)
    @task
    def ok(self):
        self.client.get("/ok")

class Stuck(HttpUser):
    fixed_count = 1
    @task
    def hang(self):
        self.client.get("/hang")
"""


def test_users_come_and_go_as_the_load_says_and_one_that_hangs_is_counted(
    locustfile: Writer, target: Target
) -> None:
    file = locustfile(COMING_AND_GOING)
    phases = [
        {"name": "up", "for": "1s", "load": {"from": "10%", "to": "100%"}},
        {"name": "full", "for": "1s", "load": "100%"},
        {"name": "down", "for": "1s", "load": "20%"},
    ]
    plan = plan_of(
        file,
        phases,
        lanes=10,
        deadline="500ms",
        operations={"ok": {"locust": "GET /ok"}, "hang": {"locust": "/hang"}},
    )
    run = drive(plan, target)
    run.assert_adds_up()
    connected = [live.connected for now, live in run.seen if 0 < now < plan.duration_ns]
    assert max(connected) >= 8
    assert connected[-1] <= 3
    assert run.outcomes("hang") == {Outcome.TIMEOUT: 1}
    assert run.outcomes("hang", phase=0) == {Outcome.TIMEOUT: 1}
    assert max_ns(run.counts("response", "hang")) >= 1_500_000_000
    assert run.notes("users_lost") == []
    assert run.drained_ns < 10 * 10**9


def test_users_that_end_by_themselves_make_the_run_inconclusive(locustfile: Writer, target: Target) -> None:
    file = locustfile(
        "from locust import HttpUser, task\n"
        "class Weak(HttpUser):\n"
        "    def on_start(self):\n"
        "        raise RuntimeError('no account left')\n"
        "    @task\n"
        "    def never(self): pass\n"
    )
    run = drive(plan_of(file, [{"name": "steady", "for": "300ms"}], lanes=3), target)
    ((severity, message),) = run.notes("users_lost")
    assert severity == "inconclusive"
    assert "up to 3 of the users ended by themselves (3 x RuntimeError: no account left)" in message


QUIET = """\
from locust import HttpUser, constant, task
class Quick(HttpUser):
    wait_time = constant(0.02)
    @task
    def ok(self):
        self.client.get("/ok")
"""


def test_a_run_whose_users_are_killed_is_invalid_and_keeps_what_was_counted(
    locustfile: Writer, target: Target
) -> None:
    plan = plan_of(locustfile(QUIET), [{"name": "steady", "for": "60s"}])

    def kill(_: object) -> None:
        os.kill(users_of(os.getpid())[0].pid, signal.SIGKILL)

    run = drive(plan, target, None, (0.5, kill))
    assert run.notes("users_died") == [
        ("invalid", "journey: the process of the Locust users was ended by signal 9 before it was done")
    ]
    assert run.outcomes("other")[Outcome.OK] > 0


STOPS = ((0.4, False), (0.8, True))
"""Second of the run, and whether at once: a user that hangs waits for its answer until the second."""


def test_a_stop_ends_the_users_long_before_the_plan_does(locustfile: Writer, target: Target) -> None:
    plan = plan_of(
        locustfile(COMING_AND_GOING),
        [{"name": "steady", "for": "60s"}],
        deadline="30s",
        operations={"hang": {"locust": "GET /hang"}},
    )
    asked = [(at, lambda engine, at_once=at_once: engine.stop(at_once=at_once)) for at, at_once in STOPS]
    run = drive(plan, target, None, *asked)
    run.assert_adds_up()
    assert run.outcomes("hang") == {Outcome.RESET: 1}
    assert set(run.outcomes("other")) == {Outcome.OK}
    assert run.drained_ns < -30 * 10**9
    assert {severity for _, severity, _ in run.result.anomalies} == {"note"}


@pytest.mark.parametrize(
    ("text", "more", "key", "found", "advice"),
    [
        (
            "import json\ndef deep():\n    import no_such_module\ndeep()\n",
            {},
            "locustfile",
            "ModuleNotFoundError: No module named 'no_such_module'",
            'journey.py", line 3, in deep',
        ),
        pytest.param(
            "import os\nos.write(2, b'so long\\n')\nos._exit(7)\n",
            {},
            "locustfile",
            "exit code 7",
            "so long",
            marks=pytest.mark.long,
        ),
        pytest.param(
            QUIET,
            {"user_classes": ["Slow"]},
            "user_classes",
            "the locustfile has Quick",
            "write one of Quick",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "import os\nTOKEN = os.environ['SHOP_TOKEN']",
            {},
            "locustfile",
            "KeyError: 'SHOP_TOKEN'",
            "name it in HOLDFAST_PASS_ENVIRONMENT",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_locustfile_that_cannot_run_is_refused_before_any_load(
    locustfile: Writer, target: Target, text: str, more: dict[str, object], key: str, found: str, advice: str
) -> None:
    engine = engine_of(plan_of(locustfile(text), [{"name": "steady", "for": "1s"}], **more), target)
    try:
        with pytest.raises(StatementRefused) as refused:
            engine.prepare()
    finally:
        engine.close()
    assert refused.value.path == (key,)
    assert found in refused.value.found
    assert advice in refused.value.advice
    assert "users_load" not in refused.value.advice


def test_a_target_that_does_not_listen_is_told_before_a_locustfile_is_run(locustfile: Writer) -> None:
    gone = Target("api", "http", "127.0.0.1", free_loopback_port())
    engine = engine_of(plan_of(locustfile("raise SystemExit(9)\n"), [{"name": "s", "for": "1s"}]), gone)
    with pytest.raises(TargetError, match="expected a server that listens"):
        engine.prepare()
    engine.close()


HARNESS = """\
import sys, time
from pathlib import Path
from tests.engine.locust.locust_runs import engine_of, plan_of
from bench.core.clock import monotonic_ns
from bench.stack.target import Target
plan = plan_of(Path({file!r}), [dict([("name", "s"), ("for", "60s")])])
engine = engine_of(plan, Target("api", "http", "127.0.0.1", {port}))
engine.prepare()
engine.begin(monotonic_ns())
print("ready", flush=True)
time.sleep(60)
"""


def test_users_end_with_a_harness_that_was_killed_and_take_along_what_they_started(
    locustfile: Writer, target: Target, tmp_path: Path
) -> None:
    file = locustfile(QUIET + "import subprocess\nsubprocess.Popen(['sleep', '60'])\n")
    program = HARNESS.format(file=str(file), port=target.port)
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[3]
    with child_process(command, cwd=root, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == "ready\n"
        (users,) = users_of(harness.pid)
        started = users.children(recursive=True)
        assert [one.name() for one in started] == ["sleep"]
        harness.kill()
    eventually(lambda: not any(is_there(one) for one in (users, *started)), "all of them have ended")


def users_of(pid: int) -> list[psutil.Process]:
    """The processes of users that a process has started."""
    return [one for one in psutil.Process(pid).children() if "bench.swarm.users" in one.cmdline()]


def is_there(process: psutil.Process) -> bool:
    """Whether it runs; one that nobody has collected yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
