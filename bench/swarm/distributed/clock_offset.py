"""How far a worker's CLOCK_MONOTONIC is ahead of the coordinator's. Pure.

As NTP does it (Mills, RFC 5905, section 8): ask for the time, note when asked and when answered. The
answer was given between the two, so the offset is known to half the round trip, whatever the way there and
back took each. Of several rounds the shortest is the best.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Round:
    """One question; `sent_ns` and `back_ns` on our clock, `there_ns` on the other's."""

    sent_ns: int
    there_ns: int
    back_ns: int

    @property
    def trip_ns(self) -> int:
        """How long it took."""
        return self.back_ns - self.sent_ns

    @property
    def offset_ns(self) -> int:
        """The other's clock minus ours, known to half the trip."""
        return self.there_ns - (self.sent_ns + self.back_ns) // 2


@dataclass
class ClockOffset:
    """The other's clock minus ours, by all rounds before the run and by those after it."""

    is_same: bool = False
    """Both read one clock: the offset is 0, and what was measured only shows how well it can be."""
    before: list[Round] = field(default_factory=list)
    after: list[Round] = field(default_factory=list)

    @property
    def measured_ns(self) -> int:
        """By the best round before the run."""
        return _best(self.before).offset_ns

    @property
    def offset_ns(self) -> int:
        """To be used in the run."""
        return 0 if self.is_same else self.measured_ns

    @property
    def uncertainty_ns(self) -> int:
        """Half the best round trip; 0 for one clock."""
        return 0 if self.is_same else _half(_best(self.before).trip_ns)

    @property
    def drift_ns(self) -> int:
        """By how much the offset grew until the end; 0 where nobody asked again."""
        return _best(self.after).offset_ns - self.measured_ns if self.after and not self.is_same else 0

    @property
    def longest_trip_ns(self) -> int:
        """The worst of what a message may take."""
        return max((one.trip_ns for one in self.before), default=0)

    def facts(self) -> dict[str, bool | int]:
        """For run.json."""
        return {
            "same": self.is_same,
            "offset_ns": self.offset_ns,
            "uncertainty_ns": self.uncertainty_ns,
            "measured_ns": self.measured_ns,
            "round_trip_ns": _best(self.before).trip_ns,
            "drift_ns": self.drift_ns,
        }


def _best(rounds: list[Round]) -> Round:
    return min(rounds, key=lambda one: one.trip_ns)


def _half(trip_ns: int) -> int:
    return (trip_ns + 1) // 2
