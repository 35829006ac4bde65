"""Between the session's thread, which must not wait, and the exporter's own, which may be slow.

What is not taken in time is added up, not queued: histograms by adding, series by keeping the last row.
So the inbox stays as small as one window whatever becomes of the reader, and no count is lost.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.answers import ANSWER_SERIES

if TYPE_CHECKING:
    from pathlib import Path

    from bench.core.clock import WallLabel
    from bench.core.histogram import Counts
    from bench.judge.verdict import Verdict
    from bench.results.histogram_log import Tag
    from bench.run.observers import WindowView

MOST_EVENTS = 2_000
"""Kept of one run until they are taken; a kill under load tells of every lane that reconnects."""


@dataclass
class Batch:
    """What was seen of one run since the last look; everything but the beginning may come in parts."""

    record: dict[str, Any] | None = None
    zero: WallLabel | None = None
    gains: dict[Tag, Counts] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    """Arrivals taken from the plan, by workload."""
    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    """What answers brought: by workload and column of series.csv, such as "misses" or "status_3xx"."""
    view: WindowView | None = None
    """The last window: for what is a state and not a sum."""
    events: list[dict[str, Any]] = field(default_factory=list)
    events_lost: int = 0
    path: Path | None = None
    """The run folder, once it is complete."""
    interrupted: bool = False
    verdict: Verdict | None = None


class CoalescingBuffer:
    """A watcher that only collects. Safe for one session and one reader in threads of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches = [Batch()]
        self.is_urgent = threading.Event()
        """Set when a run is judged: that a reader may want to see at once."""

    def started(self, record: dict[str, Any], zero: WallLabel) -> None:
        """A run begins; nothing of another is added to it."""
        with self._lock:
            self._batches.append(Batch(record, zero))

    def window(self, view: WindowView) -> None:
        """Add a window to what is not taken yet."""
        with self._lock:
            batch = self._batches[-1]
            for tag, counts in view.gains:
                waiting = batch.gains.get(tag)
                # A window's arrays are never written to again: the first is kept as it is.
                batch.gains[tag] = counts if waiting is None else waiting + counts
            for row in view.series:
                name = row["workload"]
                batch.planned[name] = batch.planned.get(name, 0) + int(row["planned"])
                for column in ANSWER_SERIES:
                    if count := row.get(column):
                        place = (name, column)
                        batch.answers[place] = batch.answers.get(place, 0) + int(count)
            batch.view = view

    def event(self, entry: dict[str, Any]) -> None:
        """Keep an event, as long as there is room."""
        with self._lock:
            batch = self._batches[-1]
            if len(batch.events) < MOST_EVENTS:
                batch.events.append(entry)
            else:
                batch.events_lost += 1

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        with self._lock:
            self._batches[-1].path, self._batches[-1].interrupted = path, interrupted

    def judged(self, verdict: Verdict) -> None:
        """The run was judged."""
        with self._lock:
            self._batches[-1].verdict = verdict
        self.is_urgent.set()

    def take(self) -> list[Batch]:
        """Everything since the last call, oldest first; parts of the present run go on in a new batch."""
        with self._lock:
            taken, self._batches = self._batches, [Batch()]
        return taken
