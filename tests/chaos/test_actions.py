"""Actions: commands that a run gives at their time, with what undoes them and what proves them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError, TargetError
from bench.core.threads import Work
from bench.judge.verdict import Status
from bench.report.text import render
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.stack_file import load_stack_file
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target
from chaos.commands import environment_for, run_for, run_to_end, why_not_found
from chaos.schedule import planned
from chaos.undo import RunCommand, read_undo
from tests.chaos.in_process import run_file
from tests.helpers.waiting import eventually

S = 1_000_000_000
SCENARIO = """\
scenario: acted
purpose: an action costs nothing
workloads:
  - name: cache
    target: {target}
    driver: redis
    lanes: 4
    value: {{bytes: 16}}
    operations: {{set: {{command: [SET, a, "{{value}}"]}}}}
    arrivals: constant
    rate: 200/s
    deadline: 500ms
phases:
  - {{name: steady, for: 3s}}
actions:
  - {action}
"""


def acted(folder: Path, action: str, target: str = "redis") -> Path:
    path = folder / "acted.yaml"
    path.write_text(SCENARIO.format(action=action, target=target))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("own")
    file = folder / "stack.yaml"
    file.write_text("stack: own\ntargets: {redis: {kind: redis, embedded: {}}}\nallow: {actions: true}\n")
    with AssembledStack(load_stack_file(file), {"redis"}, folder) as up:
        yield up


def test_an_action_is_run_at_its_time_undone_and_told_what_it_cost(
    stack: AssembledStack, tmp_path: Path
) -> None:
    flag, undone = tmp_path / "flag", tmp_path / "undone"
    command = f"name: flag, run: [touch, {flag}], undo: [mv, {flag}, {undone}], proof: [test, -e, {flag}]"
    ended = run_file(stack, tmp_path, acted(tmp_path, f"{{{command}, at: 1s, for: 1s}}"))
    (record,) = ended.record.faults
    assert (record.kind, record.where, record.took_effect, record.healed) == ("action", "flag", True, True)
    assert record.proof == "the proof of flag holds; flag was undone"
    assert undone.exists()
    assert not flag.exists()
    (cost,) = ended.record.recoveries
    assert cost.arrivals
    text = render(ended.run, ended.verdict)
    assert f"Action flag: {cost.failed} of {cost.arrivals} arrivals failed" in text


@pytest.mark.long
def test_an_action_that_fails_makes_the_run_invalid_with_what_it_said(
    stack: AssembledStack, tmp_path: Path
) -> None:
    action = f"{{name: migrate, run: [{sys.executable}, -c, 'raise SystemExit(\"no such table\")'], at: 1s}}"
    ended = run_file(stack, tmp_path, acted(tmp_path, action))
    check = ended.check("validity.fault_without_effect")
    assert check.status is Status.INVALID
    assert "migrate: it ended with status 1: no such table" in check.because


def test_actions_need_a_stack_file_that_allows_them(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text("stack: own\ntargets: {redis: {kind: redis, embedded: {}}}\n")
    with (
        AssembledStack(load_stack_file(file), {"redis"}, tmp_path) as closed,
        pytest.raises(TargetError, match=r"a stack file that allows actions.*write allow: {actions: true}"),
    ):
        run_file(closed, tmp_path, acted(tmp_path, "{name: reload, run: ['true'], at: 1s}"))


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("{name: a, run: ['true'], at: 4s}", "to be over before the run ends at 3 s, found one at 4 s"),
        ("{name: a, run: ['true'], at: 1s, for: 1s}", "expected for only with undo, found for alone"),
        ("{name: a, run: ['true'], at: 1s, target: api2}", "actions[0].target: expected one of the targets"),
        ("{name: a, run: nginx -s reload, at: 1s}", "actions[0].run: expected"),
        ("{name: a, at: 1s}", "actions[0]: expected the key run"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_load(tmp_path: Path, action: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load_scenario(acted(tmp_path, action), environment={})
    assert words in str(refused.value)


def test_what_is_undone_without_a_time_stays_to_the_end_of_the_run(tmp_path: Path) -> None:
    action = "{name: a, run: ['true'], undo: ['true'], at: 1s}"
    (plan,) = planned(load_scenario(acted(tmp_path, action), environment={}).scenario, seed=1)
    assert (plan.at_ns, plan.for_ns, plan.target, plan.aim) == (S, 2 * S, "redis", "a")


def test_faults_and_actions_are_numbered_together_in_the_order_of_time(tmp_path: Path) -> None:
    path = acted(tmp_path, "{name: a, run: ['true'], at: 2s}")
    path.write_text(
        path.read_text() + "faults:\n  - {nothing: redis, at: 2500ms}\n  - {nothing: redis, at: 1s}\n"
    )
    found = planned(load_scenario(path, environment={}).scenario, seed=1)
    assert [(plan.number, plan.kind) for plan in found] == [(0, "nothing"), (1, "action"), (2, "nothing")]
    assert len({plan.entry for plan in found}) == 3


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    assert run_to_end(["sleep", "600"], str(tmp_path), 0.1) == "it was killed, since it took too long"


def test_a_command_is_killed_with_all_that_it_started_when_the_run_ends(tmp_path: Path) -> None:
    pid, end = tmp_path / "pid", threading.Event()
    command = ["sh", "-c", f"sleep 600 & echo $! > {pid}.new; mv {pid}.new {pid}; echo busy; wait"]
    run = Work("command", lambda: run_to_end(command, str(tmp_path), 60, end))
    run.start()
    eventually(pid.exists, "it is at work")
    end.set()
    assert (run.result() or "").startswith("it was killed at the run's end")
    child = ProcessIdentity.of(int(pid.read_text()))
    assert child is None or child.wait(10.0)


def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    assert run_to_end(["echo", "$(touch here); touch here"], str(tmp_path), 10) is None
    assert not (tmp_path / "here").exists()
    assert why_not_found("no-such-program-here") == "none of that name on the PATH"
    assert why_not_found(str(tmp_path / "none")) == "no such file"


def test_an_undo_is_read_back_from_the_journal_and_can_be_run_by_another_process(tmp_path: Path) -> None:
    undo = RunCommand(("touch", "undone"), str(tmp_path), 5.0)
    again = read_undo(undo.to_json())
    assert again == undo
    assert again.heal() is None
    assert (tmp_path / "undone").exists()


SHOP = Target("db", "postgres", "127.0.0.1", 5432, "app", "a long secret", database="shop")


def test_a_command_finds_how_to_log_in_to_its_target_and_no_report_has_the_password() -> None:
    names = ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "TARGET_HOST", "TARGET_PORT")
    script = f"import os, sys; sys.exit(' '.join(os.environ[name] for name in {names}))"
    said = run_for(SHOP, [sys.executable, "-c", script], 10)
    assert said == "it ended with status 1: 127.0.0.1 5432 app shop *** 127.0.0.1 5432"
    assert environment_for(SHOP)["TARGET_URL"].startswith(
        "postgresql://app:a%20long%20secret@127.0.0.1:5432/shop"
    )
    cache = Target("cache", "redis", "127.0.0.1", 6379, password="a long secret")
    assert environment_for(cache)["REDISCLI_AUTH"] == "a long secret"
    assert "PGHOST" not in environment_for(cache)


def test_an_undo_by_another_process_sees_what_the_action_saw(tmp_path: Path) -> None:
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(environment_for(SHOP)))
    undo = RunCommand(("sh", "-c", 'touch "$PGUSER"'), str(tmp_path), 5.0, str(file))
    assert "secret" not in json.dumps(undo.to_json())
    assert read_undo(undo.to_json()).heal() is None
    assert (tmp_path / "app").exists()
