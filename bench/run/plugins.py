"""Who goes along with a run without being part of the load: faults and those who watch for them.

The session knows only this form. The command line brings in `chaos`, which imports from `bench` and
is never imported by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target


class RunPlugin(Protocol):
    """One companion of one run. Called from the session's thread, in the order of the methods."""

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        """Get ready before anything connects; the targets as the load is to see them.

        Raises ScenarioError or TargetError where what is asked for cannot be done.
        """

    def calibrate(self) -> None:
        """The self-measurement is over: measure what of yours stands in the path. In another thread."""

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        """Run zero is set, on CLOCK_MONOTONIC, ahead of now. Events go to `writer`."""

    def look(self, now_ns: int) -> str | None:
        """Called about ten times a second; what is under way, for the progress line."""

    def finish(self, record: dict[str, Any], folder: Path) -> None:
        """The load has ended and everything is healed: add what was found to the run's record.

        The folder holds operations.npy; the rest of the record is complete.
        """

    def close(self) -> None:
        """Undo whatever still holds and end what was started; again is harmless."""
