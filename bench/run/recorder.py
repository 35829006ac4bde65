"""The windows of a run as they end, and from the Boards to the run folder: one row of the series for each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.core.answers import Answers
from bench.core.clock import monotonic_ns
from bench.core.histogram import Counts, empty, percentiles_ns
from bench.core.outcome import OUTCOMES
from bench.engine.api import Engine, EngineStats
from bench.plan.plan import Plan
from bench.resources.generator import GeneratorCost
from bench.results.logs import Tag
from bench.results.writer import RunWriter
from bench.run.plugins import GeneratorUsage, Observers, WindowView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.run.stop_request import StopRequest


SERIES_PERCENTS = (50.0, 95.0, 99.0)


class Recorder:
    """Writes what the engines gained, window by window; keeps nothing of a window but the last look."""

    def __init__(
        self,
        plan: Plan,
        engines: list[Engine],
        writer: RunWriter,
        generator: GeneratorUsage,
        watchers: Observers | None = None,
        *,
        keeps_gains: bool = False,
    ) -> None:
        """keeps_gains: the views of windows have what histograms gained, also where nobody looks on."""
        self._plan = plan
        self._engines = engines
        self._writer = writer
        self._generator = generator
        self._watchers = watchers or Observers()
        self._keeps_gains = keeps_gains or bool(self._watchers)
        self._looks: list[EngineStats | None] = [None] * len(engines)
        self._gains: list[tuple[Tag, Counts]] = []
        self.last_p95_ns: int | None = None

    def window(self, start_ns: int, end_ns: int, under_way: str = "") -> WindowView:
        """Close the window start_ns..end_ns (from run zero); `under_way`: the faults that hold."""
        cost = self._generator.window()
        self._gains = []
        rows = []
        for number, engine in enumerate(self._engines):
            responses = self._histograms(engine, start_ns, end_ns)
            rows.append(self._series(number, engine, start_ns, end_ns, responses, cost))
            for event in engine.events():
                at_ns = event.at_ns - self._writer.zero.monotonic_ns
                self._writer.event(at_ns, event.kind, **event.details)
        phase = self._phase_name(start_ns)
        view = WindowView(start_ns, end_ns, phase, under_way, tuple(rows), tuple(self._gains))
        if self._watchers:
            self._watchers.window(view)
        return view

    def _histograms(self, engine: Engine, start_ns: int, end_ns: int) -> Any:
        names = engine.plan.program.names
        responses = empty()
        for change in engine.changes():
            phase, operation = divmod(change.row, len(names))
            measured = self._plan.phases[phase].measured
            tag = Tag(engine.plan.name, names[operation], change.kind, change.outcome.label, measured)
            self._writer.histogram(tag, start_ns, end_ns, change.counts)
            if self._keeps_gains:
                self._gains.append((tag, change.counts))
            if change.kind == "response" and engine.plan.is_planned(names[operation]):
                responses += change.counts
        return responses

    def _series(
        self,
        number: int,
        engine: Engine,
        start_ns: int,
        end_ns: int,
        responses: Any,
        cost: GeneratorCost,
    ) -> dict[str, Any]:
        before, now = self._looks[number], engine.live()
        self._looks[number] = now
        row: dict[str, Any] = {
            "start_ns": start_ns,
            "end_ns": end_ns,
            "workload": engine.plan.name,
            "phase": self._phase_name(start_ns),
            "planned": now.taken - (before.taken if before else 0),
        }
        for outcome in OUTCOMES:
            row[outcome.label] = now.outcomes[outcome] - (before.outcomes[outcome] if before else 0)
        has_samples = bool(responses.any())
        found = percentiles_ns(responses, SERIES_PERCENTS) if has_samples else [None] * len(SERIES_PERCENTS)
        row |= {
            f"response_p{percent:g}_ns": value for percent, value in zip(SERIES_PERCENTS, found, strict=True)
        }
        self.last_p95_ns = row["response_p95_ns"] if has_samples else self.last_p95_ns
        elapsed = now.elapsed_ns - (before.elapsed_ns if before else 0)
        idle = now.idle_ns - (before.idle_ns if before else 0)
        row |= now.answers.series(before.answers if before else Answers())
        row["in_flight"] = now.in_flight
        row["connected"] = now.connected
        row["pool_in_use"] = now.pool_in_use
        delay = now.run_delay_ns - (before.run_delay_ns if before else 0)
        # The loop sees most of it itself, but not a short wait for a processor when an answer has come.
        idle = min(idle, max(elapsed - delay, 0))
        row["generator_idle_ratio"] = round(idle / elapsed, 4) if elapsed > 0 else None
        row["generator_run_delay_ratio"] = round(delay / elapsed, 4) if elapsed > 0 else None
        row |= asdict(cost)
        self._writer.series({key: "" if value is None else value for key, value in row.items()})
        return row

    def _phase_name(self, at_ns: int) -> str:
        for phase in self._plan.phases:
            if at_ns < phase.end_ns:
                return phase.name
        return "drain"


DRAIN_STEP_NS = 100_000_000
"""Length of the windows after the last phase, until everything under way has ended."""
POLL_S = 0.02


@dataclass(frozen=True)
class WindowEnd:
    """A window that is to be closed now; times in ns from run zero."""

    number: int
    due_ns: int
    """When it was to end by the plan: later than now where every engine has ended before."""
    now_ns: int
    is_last: bool
    """Whether every engine had ended when it was looked at: what it counted is complete."""


def windows(
    plan: Plan,
    engines: Sequence[Engine],
    stop: StopRequest,
    start_ns: int,
    on_stop: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[WindowEnd]:
    """Wait for the end of each window of the plan, then in steps until every engine has ended.

    A stop is passed on to the engines, and reported to `on_stop`: when, and how often it was asked for.
    """
    ends = iter(plan.window_ends())
    due, number, asked = 0, 0, 0
    is_running = True
    while is_running:
        due = next(ends, due + DRAIN_STEP_NS)
        while (left := due - (monotonic_ns() - start_ns)) > 0 and _are_running(engines):
            if stop.count > asked:
                asked = stop.count
                on_stop(monotonic_ns() - start_ns, asked)
                for engine in engines:
                    engine.stop(at_once=asked > 1)
            if asked:
                time.sleep(min(left / 1e9, POLL_S))
            else:
                stop.wait(min(left / 1e9, POLL_S * 5))
        is_running = _are_running(engines)  # before the counts are read: what comes after is still to be read
        yield WindowEnd(number, due, monotonic_ns() - start_ns, not is_running)
        number += 1


def _are_running(engines: Sequence[Engine]) -> bool:
    return any(engine.is_running() for engine in engines)
