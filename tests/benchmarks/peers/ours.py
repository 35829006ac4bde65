"""Ours: a scenario compiled to a plan and run by the wire engine, as `bench run` does it.

Windows are collected while it runs, as a session does. Nothing is warmed up that a session would not
warm up: compiling and connecting lie before run zero, the first request after it.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError
from bench.run.record import versions
from tests.benchmarks.peers.contestant import Result, TurnFailed
from tests.benchmarks.peers.rounds import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.core.histogram import Counts
    from bench.engine.api import Engine, EngineResult
    from tests.benchmarks.peers.task import Task

LEAD_NS = 50_000_000
WINDOW_S = 0.1
ENDING_S = 30.0


class Ours:
    """The wire engine on one thread."""

    name = OURS

    def __init__(self, task: Task) -> None:
        self._task = task

    def available(self) -> str:
        """Always here."""
        return versions().get("holdfast", "run from source")

    def run(self, seconds: float) -> Result:
        """One closed-loop run of the plan."""
        with self._ready_engine(seconds) as (engine, duration_ns):
            used = time.process_time()
            engine.begin(monotonic_ns() + LEAD_NS)
            responses = _collect(engine, duration_ns)
            ended = engine.finish()
            return result_of(ended, responses, duration_ns, time.process_time() - used)

    def connect_only(self) -> None:
        """All of a turn but its load: log in on every lane, prepare, close. Raises TurnFailed."""
        with self._ready_engine(1.0):
            pass

    @contextmanager
    def _ready_engine(self, seconds: float) -> Iterator[tuple[Engine, int]]:
        """An engine whose lanes are connected, and how long its plan is in ns."""
        if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
            raise TurnFailed("the compiler is switched off: unset NUMBA_DISABLE_JIT")
        from bench.engine import engine_for
        from bench.plan.compile import compile_plan

        plan = compile_plan(self._task.scenario(seconds))
        with tempfile.TemporaryDirectory(prefix="holdfast-peers-") as folder:
            engine = engine_for(plan, plan.workloads[0], self._task.target, Path(folder))
            try:
                engine.prepare()
                yield engine, plan.duration_ns
            except TargetError as error:
                raise TurnFailed(str(error)) from None
            finally:
                engine.close()


def _collect(engine: Engine, duration_ns: int) -> Counts:
    """Response times of all that was answered, taken window by window until the engine has ended."""
    from bench.core.histogram import empty

    responses = empty()
    limit = time.monotonic() + duration_ns / NS_PER_S + ENDING_S
    runs = True
    while runs:
        time.sleep(WINDOW_S)
        runs = engine.is_running()
        for change in engine.changes():
            if change.kind == "response":
                responses += change.counts
        if time.monotonic() > limit:
            engine.stop(at_once=True)
            raise TurnFailed(f"the engine ran {ENDING_S:.0f} s longer than planned")
    return responses


def result_of(ended: EngineResult, responses: Counts, duration_ns: int, cpu_s: float) -> Result:
    """Throughput and response time of a closed run. Raises TurnFailed unless every request was OK."""
    from bench.core.histogram import mean_ns, percentile_ns
    from bench.core.outcome import Outcome

    outcomes = ended.tallies.sum(axis=0)
    answered, total = int(outcomes[Outcome.OK]), int(outcomes.sum())
    if answered == 0 or answered != total:
        texts = "; ".join(error.text for error in ended.errors[:1])
        raise TurnFailed(f"{total - answered} of {total} requests were not answered well {texts}".rstrip())
    return Result(
        requests=answered,
        seconds=duration_ns / NS_PER_S,
        mean_ns=mean_ns(responses),
        p50_ns=percentile_ns(responses, 50),
        p99_ns=percentile_ns(responses, 99),
        cpu_s=cpu_s,
    )
