"""The processes that most tests of the command line use are forked; nothing about them shows it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.helpers.command_line import Bench
from tests.helpers.prepared import can_be_forked
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("arguments", [["list"], ["lsit"], ["validate", "missing.yaml"], ["plan", "--help"]])
def test_a_forked_process_says_and_returns_what_a_started_one_does(
    bench: Bench, arguments: list[str]
) -> None:
    assert bench(*arguments) == bench(*arguments, preexec_fn=lambda: None)


def is_pipe(pid: int, number: int) -> bool:
    return str(Path(f"/proc/{pid}/fd/{number}").readlink()).startswith("pipe:")


def test_it_is_a_child_of_the_tests_in_their_session_and_is_killed_like_any_other(bench: Bench) -> None:
    text = """
scenario: waits
purpose: lasts until it is killed
workloads:
  - {name: nothing, target: none, driver: noop, lanes: 1, arrivals: constant, rate: 50/s}
phases: [{name: steady, for: 60s}]
"""
    process = bench.start("run", bench.scenario(text), "--out", bench.results)
    try:
        assert type(process) is not subprocess.Popen
        assert psutil.Process(process.pid).ppid() == os.getpid()
        assert (os.getsid(process.pid), os.getpgid(process.pid)) == (os.getsid(0), os.getpgid(0))
        assert process.poll() is None
        # Its output is in pipes of its own as soon as it is what was ordered.
        eventually(lambda: all(is_pipe(process.pid, number) for number in (1, 2)), "its streams are pipes")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_what_python_reads_when_it_starts_needs_a_process_that_starts() -> None:
    ours = dict(os.environ)
    assert can_be_forked(ours | {"HOLDFAST_RESTART_DELAY": "1s", "REDIS_URL": "redis://127.0.0.1"})
    for name in ("NUMBA_DISABLE_JIT", "PYTHONDEVMODE", "LC_ALL", "XDG_CACHE_HOME", "TZ"):
        assert not can_be_forked(ours | {name: "x"}), name
