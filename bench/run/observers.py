"""Who looks on while a run goes on: a web page, live metrics, traces. None of them can disturb it.

A watcher is called in the session's thread and must return at once: whatever takes time it hands to a
thread of its own. One that raises is dropped for the rest of the session, and that is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from bench.core.clock import WallLabel
    from bench.core.histogram import Counts
    from bench.judge.verdict import Verdict
    from bench.results.histogram_log import Tag


@dataclass(frozen=True)
class WindowView:
    """One closed window; times in ns from run zero. What is in here is never written to again."""

    start_ns: int
    end_ns: int
    phase: str
    """The phase in which the window began; `drain` after the last."""
    under_way: str
    """The faults that hold, as the progress line names them; empty without any."""
    series: tuple[dict[str, Any], ...]
    """One row per workload: the columns of series.csv, None for an empty cell."""
    gains: tuple[tuple[Tag, Counts], ...]
    """What each histogram gained in the window; one that gained nothing is not there."""


class RunObserver(Protocol):
    """One who looks on. The methods come in this order, `window` and `event` mixed; any may be the last."""

    def started(self, record: dict[str, Any], zero: WallLabel) -> None:
        """Run zero is set. `record` is run.json as far as it is known (results/FORMAT.md)."""

    def window(self, view: WindowView) -> None:
        """A window was closed."""

    def event(self, entry: dict[str, Any]) -> None:
        """An entry of events.jsonl: `at_ns`, `kind`, more."""

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete at `path`."""

    def judged(self, verdict: Verdict) -> None:
        """The run was judged; not called for an interrupted one."""

    def close(self) -> None:
        """The session is over; release everything."""


class Observers:
    """All who look on, as one. Methods as of a Watcher; failures stay here."""

    def __init__(
        self, watchers: Sequence[RunObserver] = (), tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._watchers = list(watchers)
        self._tell = tell

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def started(self, record: dict[str, Any], zero: WallLabel) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.started(record, zero))

    def window(self, view: WindowView) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.window(view))

    def event(self, entry: dict[str, Any]) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.event(entry))

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.ended(path, interrupted=interrupted))

    def judged(self, verdict: Verdict) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.judged(verdict))

    def close(self) -> None:
        """Pass it on; nobody is called again."""
        self._each(lambda watcher: watcher.close())
        self._watchers.clear()

    def _each(self, call: Callable[[RunObserver], None]) -> None:
        for watcher in list(self._watchers):
            try:
                call(watcher)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the run goes on without that watcher
                self._watchers.remove(watcher)
                self._tell(
                    f"{type(watcher).__name__} no longer looks on: {type(failure).__name__}: {failure}"
                )
