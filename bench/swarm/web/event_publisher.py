"""Tells the parent of an agent how a run goes: a watcher of the session and its progress in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.escaping import visible

if TYPE_CHECKING:
    from bench.core.clock import WallLabel
    from bench.core.histogram import Counts
    from bench.judge.verdict import Verdict
    from bench.run.observers import WindowView
    from bench.run.progress import ProgressSnapshot
    from bench.swarm.json_lines import LineWriter

WORKLOAD_FACTS = ("name", "driver", "operations", "arrivals", "rate_per_s", "lanes", "deadline_ns")
PHASE_FACTS = ("name", "measured", "start_ns", "end_ns")


def sparse(counts: Counts) -> tuple[list[int], list[int]]:
    """Indexes of the buckets that hold something, and what they hold."""
    used = counts.nonzero()[0]
    return used.tolist(), counts[used].tolist()


class EventPublisher:
    """See bench.run.observers.Watcher and bench.run.progress.Progress for the methods."""

    def __init__(self, lines: LineWriter, segments: int = 1) -> None:
        self._lines = lines
        self._segments = segments

    def step(self, text: str) -> None:
        """Something before or after the run."""
        self._lines.say("step", text=visible(text))

    def look(self, look: ProgressSnapshot) -> None:
        """Nothing: the windows tell more."""

    def started(self, record: dict[str, Any], zero: WallLabel) -> None:
        """What will run, and when its run zero is."""
        self._lines.say(
            "started",
            run=record["run"],
            scenario=record["scenario"]["name"],
            purpose=record["scenario"]["purpose"],
            rules=record["sla"],
            phases=[{fact: phase[fact] for fact in PHASE_FACTS} for phase in record["phases"]],
            workloads=[{fact: one[fact] for fact in WORKLOAD_FACTS} for one in record["workloads"]],
            wall_ns=zero.wall_ns,
            segments=self._segments,
        )

    def window(self, view: WindowView) -> None:
        """One closed window with what its histograms gained, exact."""
        if self._lines.is_far_behind:
            return
        self._lines.say(
            "window",
            start_ns=view.start_ns,
            end_ns=view.end_ns,
            phase=view.phase,
            under_way=view.under_way,
            series=view.series,
            gains=[[str(tag), *sparse(counts)] for tag, counts in view.gains],
        )

    def event(self, entry: dict[str, Any]) -> None:
        """An entry of events.jsonl."""
        self._lines.say("event", **entry)

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        self._lines.say("ended", path=str(path.resolve()), interrupted=interrupted)

    def judged(self, verdict: Verdict) -> None:
        """The verdict, and the exit code that belongs to it."""
        from bench.judge.status import exit_code

        code = int(exit_code([verdict.status]))
        self._lines.say("judged", verdict=verdict.to_json(), exit_code=code)

    def close(self) -> None:
        """Nothing is held."""
