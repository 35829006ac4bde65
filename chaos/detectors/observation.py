"""What a detector has seen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """A detector's change of mind about a target; ns on CLOCK_MONOTONIC."""

    detector: str
    target: str
    at_ns: int
    is_down: bool
    detail: str
