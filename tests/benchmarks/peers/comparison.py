"""The loop over rounds: every contestant in turn, what each said, who dropped out and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.peers.contestant import NotInstalled, TurnFailed
from tests.benchmarks.peers.rounds import Round, Summary, order_of, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.subject import Subject

LOOK_S = 0.3
"""How long to look at an idle server's machine before each round."""


@dataclass
class Comparison:
    """What is known so far; whole when `is_complete`."""

    name: str
    """Of the subject."""
    title: str
    connections: int
    planned_rounds: int
    seconds: float
    seed: int
    tools: dict[str, str] = field(default_factory=dict)
    """Version of each contestant that was there."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why a contestant is not, or no longer, there."""
    left_out: tuple[str, ...] = ()
    """Contestants that --only did not name."""
    rounds: list[Round] = field(default_factory=list)
    is_complete: bool = False

    @property
    def names(self) -> list[str]:
        """Everyone who was asked for, ours first, then as the subject lists them."""
        return list(dict.fromkeys([*self.tools, *self.absent]))

    def summaries(self) -> dict[str, Summary]:
        """Those who have a result."""
        found = {name: summary_of(self.rounds, name, self.connections) for name in self.names}
        return {name: summary for name, summary in found.items() if summary is not None}


def compare(subject: Subject, comparison: Comparison, tell: Callable[[str], None]) -> None:
    """Run all rounds into `comparison`, which holds what was finished if this is interrupted."""
    present: dict[str, Contestant] = {}
    for contestant in subject.contestants:
        try:
            comparison.tools[contestant.name] = contestant.available()
            present[contestant.name] = contestant
        except NotInstalled as reason:
            comparison.absent[contestant.name] = f"not installed: {reason}"
            tell(f"{contestant.name}: not installed: {reason}")
    for number in range(comparison.planned_rounds):
        drawn = order_of(list(comparison.tools), number, comparison.seed)
        order = tuple(name for name in drawn if name in present)
        results: dict[str, Result] = {}
        comparison.rounds.append(Round(number + 1, order, results, others_cores()))
        for name in order:
            label = f"round {number + 1} of {comparison.planned_rounds}, {name}"
            try:
                results[name] = _turn(subject, present[name], comparison.seconds)
            except TurnFailed as reason:
                comparison.absent[name] = f"failed in round {number + 1}: {reason}"
                del present[name]
                tell(f"{label}: failed: {reason}")
            else:
                tell(f"{label}: {results[name].throughput_per_s:,.0f} per s")
    comparison.is_complete = True


def others_cores(seconds: float = LOOK_S) -> float:
    """Cores that are busy while none of the contestants runs."""
    import psutil

    busy_percent = psutil.cpu_percent(interval=seconds)
    return busy_percent / 100 * (psutil.cpu_count() or 1)


def _turn(subject: Subject, contestant: Contestant, seconds: float) -> Result:
    subject.before_turn()
    return subject.after_turn(contestant.name, contestant.run(seconds))
