"""How many arrivals were planned, and how each of them ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.outcome import OUTCOMES
from bench.core.units import spaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.results.reader import Run


MOST_LISTED = 12
"""What a sentence lists of many alike, at most."""


@dataclass(frozen=True)
class Tally:
    """Planned arrivals and their ends, by outcome label; every label is present."""

    planned: int
    outcomes: dict[str, int]

    @property
    def ok(self) -> int:
        """Arrivals that were answered without an error."""
        return self.outcomes["ok"]

    @property
    def lost(self) -> str:
        """The ends other than OK, as in "10 timeout, 2 reset"; empty when there are none."""
        ends = [(count, label) for label, count in self.outcomes.items() if label != "ok" and count]
        return ", ".join(f"{spaced(count)} {label}" for count, label in sorted(ends, reverse=True))


def tally_of(run: Run, scope: Sequence[str] = (), measured: bool | None = True) -> Tally:
    """The tally of a workload, an operation or (empty scope) the run; `measured` None takes every phase.

    A workload's deliveries are no arrivals: they count only when asked for by name.
    """
    workload, operation = (*scope, None, None)[:2]
    planned = 0
    outcomes = {outcome.label: 0 for outcome in OUTCOMES}
    for entry in run.workloads_of(workload):
        for count in entry.counts:
            wanted = count.operation == operation if operation else run.arrives(entry.name, count.operation)
            if wanted and measured in (None, count.measured):
                planned += count.planned
                for label, ended in count.outcomes.items():
                    outcomes[label] += ended
    return Tally(planned, outcomes)


def listed(texts: Sequence[str], most: int = MOST_LISTED) -> str:
    """The texts with commas; of more than `most` the first ones, and how many there are beside them.

    A sentence is read; all of them are in run.json.
    """
    if len(texts) <= most:
        return ", ".join(texts)
    shown = most - 1
    return f"{', '.join(texts[:shown])} and {spaced(len(texts) - shown)} more"
