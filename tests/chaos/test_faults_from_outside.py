"""`bench run` with faults as a user meets it: refusals, Ctrl-C, two at once, a kill, and `bench heal`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.stack.embedded import EmbeddedStack
from tests.chaos.conftest import BACK_S
from tests.chaos.in_process import SCENARIO
from tests.helpers.prepared import start_bench
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
OUTSIDE = ("REDIS_URL", "DATABASE_", "API_URL", "HOLDFAST_")
PAUSE = "{pause: redis, at: 200ms, for: 50s}"


class Shell:
    """`bench` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
        variables = {**clean, "XDG_STATE_HOME": str(self.folder / "state"), **environment}
        process = start_bench(words, variables)
        self.started.append(process)
        return process

    def run(self, fault: str, *more: str, **environment: str) -> subprocess.Popen[str]:
        path = self.folder / f"{len(self.started)}.yaml"
        path.write_text(SCENARIO.replace("FAULT", fault).replace("for: 3s", "for: 60s"))
        return self.start("run", str(path), "--out", str(self.results), *more, **environment)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        return finished(self.start(*words))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.results.glob("[0-9]*/run.json"))]

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.close()


def stopped_server(of: int) -> psutil.Process | None:
    """The server under a harness or keeper, once it is stopped."""
    for process in psutil.Process(of).children(recursive=True):
        try:
            if "server" in process.name() and process.status() == psutil.STATUS_STOPPED:
                return process
        except psutil.Error:
            continue
    return None


def test_ctrl_c_during_a_fault_undoes_it_keeps_the_run_and_a_second_run_waits_its_turn(shell: Shell) -> None:
    process = shell.run(PAUSE)
    server = eventually(lambda: stopped_server(process.pid), "a stopped server", BACK_S)
    code, _, err = finished(shell.run("{nothing: redis, at: 1s}"))
    assert code == 2
    assert "another run with faults is under way" in err
    assert server.status() == psutil.STATUS_STOPPED  # the second has healed nothing of the first
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 130, err
    assert not server.is_running()
    (record,) = shell.records()
    assert record["status"] == "interrupted"
    (fault,) = record["faults"]
    assert fault["took_effect"]
    assert fault["healed"]
    assert fault["heal_asked_ns"] < 50_000_000_000
    assert not list((shell.folder / "state" / "holdfast" / "faults").glob("*.jsonl"))


@pytest.mark.long
def test_ctrl_c_twice_during_a_fault_undoes_it_all_the_same(shell: Shell) -> None:
    process = shell.run(PAUSE)
    server = eventually(lambda: stopped_server(process.pid), "a stopped server", BACK_S)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 130, err
    assert not server.is_running()
    (record,) = shell.records()
    assert record["faults"][0]["healed"]
    assert not list((shell.folder / "state" / "holdfast" / "faults").glob("*.jsonl"))


@pytest.mark.long
def test_a_paused_server_that_outlives_its_harness_goes_on_by_the_reaper_or_by_bench_heal(
    shell: Shell,
) -> None:
    code, _, err = shell("stack", "up", "redis")
    assert code == 0, err
    try:
        state = json.loads((shell.folder / "state" / "holdfast" / "stack.json").read_text())
        keeper = state["keeper"]["pid"]
        for reaper_dies in (False, True):
            process = shell.run(PAUSE)
            server = eventually(lambda: stopped_server(keeper), "a stopped server", BACK_S)
            if reaper_dies:
                reapers = psutil.Process(process.pid).children(recursive=True)
                (watchdog,) = [one for one in reapers if "chaos.watchdog" in one.cmdline()]
                watchdog.kill()
            process.kill()
            process.wait()
            if reaper_dies:
                assert server.status() == psutil.STATUS_STOPPED
                assert shell("heal")[:2] == (0, "healed: pause of redis\n")
            eventually(lambda server=server: server.status() != psutil.STATUS_STOPPED, "the server goes on")
            assert shell("heal")[:2] == (0, "nothing to heal: no fault is left from any run\n")
    finally:
        assert shell("stack", "down")[0] == 0


REFUSED_OUTSIDE = [
    "{pause: redis, at: 1s, for: 1s}",
    "{exhaust_connections: redis, at: 1s, for: 1s}",
    "{latency: redis, at: 1s, for: 1s, delay: 1ms}",
]


def test_a_target_that_is_not_opted_in_is_not_touched_and_exits_4_before_any_load(
    shell: Shell, stack: EmbeddedStack
) -> None:
    url = f"redis://{stack.targets()['redis'].address}"
    for fault in REFUSED_OUTSIDE:  # one after the other: beside each other they would wait for their turn
        code, out, err = finished(shell.run(fault, REDIS_URL=url))
        assert (code, out) == (4, "")
        assert "expected a target that may be broken" in err
        assert "HOLDFAST_ALLOW_FAULTS=redis" in err
        assert "connecting" not in err
    assert shell.records() == []


def test_what_this_stack_cannot_do_is_refused_with_exit_4_before_any_load(
    shell: Shell, stack: EmbeddedStack
) -> None:
    code, _, err = finished(shell.run("{disconnect: redis, at: 1s, for: 1s}"))
    assert code == 4
    assert "use --stack docker" in err
    opted_in = {"REDIS_URL": f"redis://{stack.targets()['redis'].address}", "HOLDFAST_ALLOW_FAULTS": "redis"}
    code, _, err = finished(shell.run("{kill: redis, at: 1s}", **opted_in))
    assert code == 4
    assert "a service that the harness did not start" in err
    assert shell.records() == []
