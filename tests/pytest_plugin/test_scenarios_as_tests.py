"""`pytest scenarios/ --bench`: each rule is a test, and nothing but PASS and WARN is green."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.waiting import COMPILE_S, eventually

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
NOOP = """\
scenario: {name}
purpose: Nothing is asked for
workloads:
  - {{name: idle, target: none, driver: noop, lanes: 4, operations: {{}}, arrivals: {arrivals}, deadline: 5s}}
phases:
  - {{name: steady, for: {length}}}
sla:
{rules}
"""
REDIS = """\
scenario: {name}
purpose: A real server
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 2
    keys: {{count: 10, preload: true}}
    value: {{bytes: 8}}
    operations: {{get: {{command: [GET, "{{key}}"]}}}}
    arrivals: constant
    rate: 300/s
    deadline: 5s
phases:
  - {{name: steady, for: 400ms}}
sla:
  - cache.errors < 10%
"""
OVERLOADED = (
    """\
scenario: says_nothing
purpose: More than any generator can plan
workloads:
"""
    + "".join(
        f"  - {{name: {name}, target: none, driver: noop, lanes: 4, operations: {{}},"
        " arrivals: poisson, rate: 10000000/s, deadline: 5s}\n"
        for name in ("idle", "other", "third")
    )
    + """\
phases:
  - {name: steady, for: 100ms}
sla:
  - idle.errors < 100%
"""
)
PLUGINS = ["-p", "no:holdfast", "-p", "bench.pytest_plugin", "-p", "no:cacheprovider"]
"""Without the entry point: this checkout may be installed or not."""

UNWANTED = [
    word for name in ("valkey", "locust", "logfire", "pytest_logfire") for word in ("-p", f"no:{name}")
]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("REDIS_URL", "DATABASE_", "API_URL", "HOLDFAST_", "PYTEST_"))
} | {"PYTHONPATH": str(ROOT)}


def noop(
    folder: Path, name: str, *rules: str, length: str = "400ms", arrivals: str = "constant, rate: 500/s"
) -> Path:
    path = folder / f"{name}.yaml"
    lines = "\n".join(f"  - {rule}" for rule in rules)
    path.write_text(NOOP.format(name=name, length=length, rules=lines, arrivals=arrivals))
    return path


SEQUENCE = """
import json, os, sys
import pytest
for name, arguments, environment in json.loads(sys.argv[1]):
    print(f"=== {name}", flush=True)
    os.environ.update(environment)
    print(f"=== ended {int(pytest.main(arguments))}", flush=True)
    for variable in environment:
        del os.environ[variable]
"""
"""Several pytests in one process, each of which says how it ended: starting one costs more than most runs."""


def started(folder: Path, *words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=ENVIRONMENT | {"XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


class Finished:
    """What pytest made of folders of scenarios: exit code, output and JUnit file of each way to ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        several, alone, away = folder / "several", folder / "alone", folder / "away"
        for one in (several, alone, away):
            one.mkdir()
        noop(several, "holds", "idle.throughput >= 10/s", "idle.throughput >= 20/s warn 1000000/s")
        noop(several, "breaks", "idle.throughput >= 1000000/s", "idle.errors < 50%")
        noop(several, "cannot_tell", "idle.response.p99.99 < 3s")
        (several / "says_nothing.yaml").write_text(OVERLOADED)
        for name in ("first_redis", "second_redis"):
            (several / f"{name}.yaml").write_text(REDIS.format(name=name))
        (several / "misspelled.yaml").write_text(
            (several / "holds.yaml").read_text().replace("purpose", "porpoise")
        )
        (several / "values.yaml").write_text("service:\n  scenario: no key of the top\n")
        noop(alone, "holds", "idle.errors < 1%")
        (away / "away.yaml").write_text(REDIS.format(name="away"))
        invalid, going_on = str(several / "says_nothing.yaml"), "--continue-on-collection-errors"
        asked: dict[str, list[str]] = {
            "without": [str(alone)],
            "collected": [str(alone), "--bench", "--collect-only", "-q"],
            "chaos": [str(alone), "--bench", "--bench-only", "chaos"],
            "workers": [str(alone), "--bench", "-n", "2"],
            "away": [str(away), "--bench"],
            "chosen": [invalid, "--bench", "-k", "errors", "--bench-out", str(folder / "chosen")],
            "several": [str(several), "--bench", going_on, "--bench-out", str(folder / "runs")],
        }
        fixed = [*PLUGINS, *UNWANTED, "--rootdir", str(folder)]
        order = [
            [
                name,
                [*fixed, f"--junitxml={folder}/{name}.xml", *arguments],
                {"REDIS_URL": "redis://127.0.0.1:1/0"} if name == "away" else {},
            ]
            for name, arguments in asked.items()
        ]
        process = started(folder, "-c", SEQUENCE, json.dumps(order))
        try:
            text, _ = process.communicate(timeout=240)
        finally:
            process.kill()
        parts = re.findall(r"^=== (\w+)\n(.*?)^=== ended (\d+)\n", text, re.MULTILINE | re.DOTALL)
        self.codes = {name: int(code) for name, _, code in parts}
        self.outs = {name: out for name, out, _ in parts}
        assert self.codes.keys() == asked.keys(), text

    def cases(self, name: str = "several") -> dict[tuple[str, str], ET.Element]:
        found = ET.parse(self.folder / f"{name}.xml").iter("testcase")
        return {(case.get("classname", ""), case.get("name", "")): case for case in found}

    def case(self, scenario: str, name: str) -> ET.Element:
        return self.cases()[f"several.{scenario}.yaml", name]

    def properties(self, scenario: str, name: str) -> dict[str, str]:
        found = self.case(scenario, name).iter("property")
        return {one.get("name", ""): one.get("value", "") for one in found}

    def records(self) -> dict[str, dict[str, Any]]:
        paths = (self.folder / "runs").glob("2*/run.json")
        found = [json.loads(path.read_text()) for path in paths]
        return {record["scenario"]["name"]: record for record in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("scenarios"))


def failure_of(case: ET.Element) -> str:
    found = case.find("failure")
    assert found is not None, "it passed"
    return f"{found.get('message')}\n{found.text}"


def test_rules_that_hold_pass_and_a_warning_is_in_the_last_section(finished: Finished) -> None:
    for name in ("the run is sound", "idle.throughput >= 10/s", "idle.throughput >= 20/s warn 1000000/s"):
        assert finished.case("holds", name).find("failure") is None
    section = finished.outs["several"].partition("= holdfast =")[2]
    assert re.search(r"WARN +holds +\S*runs/2", section)
    assert "WARN  idle.throughput >= 20/s warn 1000000/s" in section


def test_a_broken_rule_fails_with_the_checks_sentence_and_no_traceback(finished: Finished) -> None:
    text = failure_of(finished.case("breaks", "idle.throughput >= 1000000/s"))
    assert text.startswith("FAIL: idle.throughput >= 1000000/s: ")
    assert "below the limit of" in text
    assert "-> " in text
    assert "run folder: " in text
    assert "Traceback" not in finished.outs["several"]
    assert "bench/pytest" not in finished.outs["several"]
    assert finished.case("breaks", "idle.errors < 50%").find("failure") is None


def test_a_rule_that_cannot_be_judged_is_not_green_and_says_so(finished: Finished) -> None:
    text = failure_of(finished.case("cannot_tell", "idle.response.p99.99 < 3s"))
    assert text.startswith("INCONCLUSIVE (the run cannot tell: neither passed nor failed)")


def test_of_an_invalid_run_nothing_is_green(finished: Finished) -> None:
    for name in ("the run is sound", "idle.errors < 100%"):
        assert failure_of(finished.case("says_nothing", name)).startswith("INVALID (the run says nothing")


def test_a_bad_scenario_is_a_collection_error_with_its_place(finished: Finished) -> None:
    error = finished.cases()["", "several.misspelled.yaml"].find("error")
    assert error is not None
    assert re.search(r'misspelled.yaml:\d+:\d+: .*expected .*found .*"porpoise"', error.text or "")


def test_a_file_without_the_key_scenario_is_left_alone(finished: Finished) -> None:
    assert not [pair for pair in finished.cases() if "values" in "".join(pair)]


def test_the_numbers_are_in_the_junit_file(finished: Finished) -> None:
    known = finished.properties("breaks", "idle.throughput >= 1000000/s")
    verdict = json.loads((Path(finished.folder / known["run_folder"]) / "verdict.json").read_text())
    check = verdict["checks"][0]
    assert float(known["observed"]) == check["observed"]
    assert float(known["limit"]) == check["limit"] == 1_000_000
    assert known["unit"] == check["unit"] == "per_s"
    assert int(known["samples"]) == check["samples"]
    assert known["status"] == "FAIL"


def test_scenarios_are_run_once_each_and_share_one_stack(finished: Finished) -> None:
    assert finished.codes["several"] == 1
    records = finished.records()
    assert len(records) == len(list((finished.folder / "runs").glob("2*"))) == 6
    servers = [records[name]["stack"]["targets"][0]["pid"] for name in ("first_redis", "second_redis")]
    assert servers[0] == servers[1]
    assert not psutil.pid_exists(servers[0])


def test_without_bench_a_scenario_is_no_test(finished: Finished) -> None:
    assert finished.codes["without"] == pytest.ExitCode.NO_TESTS_COLLECTED


def test_collecting_starts_nothing(finished: Finished) -> None:
    assert finished.codes["collected"] == 0
    lines = finished.outs["collected"].splitlines()
    assert lines[:2] == ["alone/holds.yaml::the run is sound", "alone/holds.yaml::idle.errors < 1%"]
    assert finished.codes["chaos"] == pytest.ExitCode.NO_TESTS_COLLECTED


def test_several_workers_are_refused_with_the_reason(finished: Finished) -> None:
    assert finished.codes["workers"] == pytest.ExitCode.USAGE_ERROR
    assert "--bench: expected one process, found 2" in finished.outs["workers"]


def test_a_target_that_is_away_is_an_error_in_one_sentence(finished: Finished) -> None:
    assert finished.codes["away"] == 1
    errors = [case.find("error") for case in finished.cases("away").values()]
    assert len(errors) == 2
    for error in errors:
        assert error is not None
        assert "target redis at 127.0.0.1:1: expected" in (error.text or "")
    assert "Traceback" not in finished.outs["away"]
    assert "self." not in finished.outs["away"]


def test_one_rule_alone_answers_for_the_run_too(finished: Finished) -> None:
    """The item for soundness was not chosen, and a rule of such a run must not be green."""
    assert finished.codes["chosen"] == 1
    assert "1 failed, 1 deselected" in finished.outs["chosen"]
    assert "INVALID (the run says nothing" in finished.outs["chosen"]


def test_ctrl_c_ends_the_run_in_order_and_keeps_what_was_measured(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_text(REDIS.format(name="long").replace("400ms", "600s"))
    process = started(tmp_path, "-m", "pytest", *PLUGINS, *UNWANTED, "--rootdir", tmp_path, long, "--bench")
    try:
        results = tmp_path / "results"
        eventually(
            lambda: list(results.glob(".2*.partial/run.json")) or process.poll() is not None,
            "the run has begun",
            COMPILE_S,
        )
        assert process.poll() is None, process.communicate()[0]
        servers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, out
    assert "interrupted" in out
    assert servers
    psutil.wait_procs(servers, timeout=10)
    assert not [server for server in servers if server.is_running()]
    (folder,) = (tmp_path / "results").glob("2*")
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


def test_importing_the_plugin_is_light() -> None:
    program = "import bench.pytest_plugin, sys; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()).isdisjoint(
        {"numpy", "numba", "pydantic", "yaml", "click", "redis", "chaos"}
    )
