"""Exit codes, hosts and command-line arguments of a locustfile: honoured, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import StatementRefused
from bench.stack.target import Target
from tests.engine.locust.locust_runs import LocustRun, drive, engine_of, plan_of

Writer = Callable[[str], Path]

HEAD = """\
import sys
from locust import HttpUser, task, tag, constant, events

class Shopper(HttpUser):
    wait_time = constant(0.02)
    @task
    def look(self):
        self.client.get("/fine")
"""
PHASES: list[dict[str, Any]] = [{"name": "steady", "for": "300ms"}]


def ran(path: Path, target: Target, **workload: Any) -> LocustRun:
    return drive(plan_of(path, PHASES, lanes=1, **workload), target)


def refused(path: Path, target: Target, **workload: Any) -> StatementRefused:
    engine = engine_of(plan_of(path, PHASES, **workload), target)
    try:
        with pytest.raises(StatementRefused) as raised:
            engine.prepare()
    finally:
        engine.close()
    return raised.value


def sets_exit_code(event: str, name: str, code: int) -> str:
    lines = (
        f"@events.{event}.add_listener",
        f"def {name}(environment, **_):",
        f"    environment.process_exit_code = {code}",
    )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (
            sets_exit_code("quitting", "too_slow", 3),
            "exit code 3, by too_slow (journey.py:11)",
        ),
        pytest.param(
            sets_exit_code("test_stop", "judge", 4),
            "exit code 4, by judge (journey.py:11)",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "@events.quitting.add_listener\ndef bad(environment, **_):\n    sys.exit(5)\n",
            "exit code 5, by sys.exit in a listener of events.quitting",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "@events.quitting.add_listener\ndef broken(**_):\n    raise ValueError('no')\n",
            "exit code 2, by an exception that left a listener",
            marks=pytest.mark.long,
        ),
    ],
)
def test_an_exit_code_that_the_locustfile_sets_fails_the_run_and_says_by_what(
    locustfile: Writer, target: Target, listener: str, said: str
) -> None:
    ((severity, message),) = ran(locustfile(HEAD + listener), target).notes("users_exit_code")
    assert severity == "fail"
    assert said in message


@pytest.mark.parametrize(
    "listener",
    [
        pytest.param("", marks=pytest.mark.long),
        sets_exit_code("quitting", "fine", 0),
    ],
)
def test_no_exit_code_and_one_of_0_are_no_news(locustfile: Writer, target: Target, listener: str) -> None:
    assert ran(locustfile(HEAD + listener), target).notes("users_exit_code") == []


TWO_HOSTS = HEAD + (
    "    host = 'http://ann:secret@127.0.0.1:7501'\n\nclass Login(Shopper):\n    host = 'http://127.0.0.1:7502'\n"
)


def test_user_classes_of_several_hosts_are_refused_by_name(locustfile: Writer, target: Target) -> None:
    problem = refused(locustfile(TWO_HOSTS), target)
    assert problem.path == ("user_classes",)
    assert problem.found == "Login with http://127.0.0.1:7502, Shopper with http://127.0.0.1:7501"
    assert "secret" not in str(problem)


def test_a_class_by_itself_goes_to_the_target_and_that_is_said(locustfile: Writer, target: Target) -> None:
    run = ran(locustfile(TWO_HOSTS), target, user_classes=["Login"])
    ((severity, message),) = run.notes("hosts_unused")
    assert (severity, "http://127.0.0.1:7502 of Login is not used" in message) == ("note", True)
    assert int(run.result.tallies.sum()) > 0


WITH_ARGUMENTS = """\
from locust import HttpUser, task, tag, constant, events

@events.init_command_line_parser.add_listener
def add(parser):
    parser.add_argument("--tenant", required=True, env_var="TENANT")
    parser.add_argument("--page-size", type=int, default=10)
    parser.add_argument("--fast", action="store_true")

class Shopper(HttpUser):
    wait_time = constant(0.02)
    @tag("asked")
    @task
    def look(self):
        options = self.environment.parsed_options
        self.client.get("/fine", name=f"{options.tenant} {options.page_size} {options.fast}")
    @task
    def other(self):
        self.client.get("/fine", name="untagged")
"""


@pytest.mark.long
def test_a_required_argument_without_a_value_is_refused_by_name(locustfile: Writer, target: Target) -> None:
    problem = refused(locustfile(WITH_ARGUMENTS), target)
    assert problem.path == ("arguments",)
    assert "--tenant" in problem.found
    assert problem.advice == "write arguments: {tenant: ...} in the workload"


def test_arguments_and_tags_come_from_the_scenario(locustfile: Writer, target: Target) -> None:
    arguments = {"tenant": "-acme 1", "page-size": "7", "fast": "true", "tags": ["asked"]}
    operations = {"asked": {"locust": "-acme 1 7 True"}, "untagged": {}}
    run = ran(locustfile(WITH_ARGUMENTS), target, arguments=arguments, operations=operations)
    assert sum(run.outcomes("asked").values()) > 0
    assert run.outcomes("untagged") == run.outcomes("other") == {}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"tenant": "a", "page_size": "s3cret"}, "another one for the argument --page-size"),
        pytest.param({"tenant": "a", "tennant": "a"}, "tennant", marks=pytest.mark.long),
        pytest.param({"tenant": "a", "users": "5"}, "users", marks=pytest.mark.long),
        pytest.param({"tenant": "a", "fast": "s3cret"}, "another value", marks=pytest.mark.long),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name_and_without_their_values(
    locustfile: Writer, target: Target, arguments: dict[str, str], found: str
) -> None:
    problem = refused(locustfile(WITH_ARGUMENTS), target, arguments=arguments)
    assert (problem.path, problem.found) == (("arguments",), found)
    assert "s3cret" not in str(problem)


def test_answers_of_users_are_counted_by_status(locustfile: Writer, target: Target) -> None:
    run = ran(locustfile(HEAD), target)
    (answers,) = run.result.answers.values()
    assert answers.statuses == {200: int(run.result.tallies.sum())}
