"""The fault proxy stands in the path for the whole run, so the run tells how it did there."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.results.reader import Run
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.stack import Stack
from chaos.plugin import Chaos
from tests.chaos.in_process import SCENARIO, Ended

pytestmark = pytest.mark.timeout(300)
MS = 1_000_000
LATENCY = "{latency: redis, at: 200ms, for: 100ms, delay: 1ms}"
DOING_NS = 600 * MS


class Disturbed(Chaos):
    """Faults, and something that is done to the proxy once, later."""

    def __init__(self, do: Callable[[int], None]) -> None:
        super().__init__()
        self._do: Callable[[int], None] | None = do

    def look(self, now_ns: int) -> str | None:
        if self._do is not None and now_ns > DOING_NS:
            do, self._do = self._do, None
            pid = self._proxies[0].pid
            assert pid is not None
            do(pid)
        return super().look(now_ns)


def run(stack: Stack, folder: Path, do: Callable[[int], None], *overrides: str) -> Ended:
    path = folder / "broken.yaml"
    path.write_text(SCENARIO.replace("FAULT", LATENCY))
    session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [Disturbed(do)])
    done = Run.load(session.run(load_scenario(path, overrides)))
    return Ended(done, judge(done))


def test_a_run_through_a_proxy_tells_its_lateness_its_use_and_its_floor(stack: Stack, tmp_path: Path) -> None:
    ended = run(stack, tmp_path, lambda _: None, "phases.steady.for=1500ms")
    (found,) = ended.record.proxies
    assert found.target == "redis"
    assert found.ended is None
    assert found.compiled
    assert found.reads > 500
    late = found.lateness_ns
    assert 0 < late["p50"] <= late["p95"] <= late["p99"] <= late["max"]
    assert found.later_than[0][1] >= found.later_than[-1][1]
    assert 0 < found.cpu_ratio <= found.cpu_ratio + found.run_queue_ratio
    assert found.floor_ns["p50"] > 0
    assert "invalid" not in [one.severity for one in ended.record.anomalies if "proxy" in one.code]


def test_a_proxy_that_is_killed_makes_the_run_invalid_and_not_the_target_fail(
    stack: Stack, tmp_path: Path
) -> None:
    rules = 'sla=["cache.errors < 1%"]'
    ended = run(stack, tmp_path, lambda pid: os.kill(pid, signal.SIGKILL), rules, "phases.steady.for=1500ms")
    assert ended.record.proxies[0].ended == "signal SIGKILL"
    check = ended.check("validity.proxy_ended")
    assert check.status is Status.INVALID
    assert "the fault proxy before redis ended during the run (signal SIGKILL)" in check.because


@pytest.mark.long
def test_answers_lost_while_the_proxy_stood_still_are_not_the_targets(stack: Stack, tmp_path: Path) -> None:
    def stop_for_a_while(pid: int) -> None:
        stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    def go_on(*_: object) -> None:
        os.kill(stopped[0], signal.SIGCONT)

    stopped: list[int] = []
    before = signal.signal(signal.SIGALRM, go_on)
    try:
        ended = run(
            stack,
            tmp_path,
            stop_for_a_while,
            'sla=["cache.errors < 0.1%"]',
            "phases.steady.for=2s",
        )
    finally:
        signal.signal(signal.SIGALRM, before)
    late = ended.record.proxies[0].lateness_ns
    assert late["max"] >= 100 * MS
    assert ended.record.proxies[0].stalls
    assert ended.check("cache.errors").status is Status.INVALID
