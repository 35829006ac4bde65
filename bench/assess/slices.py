"""A run cut down: to some of its faults, or to a piece of its measured time. Nothing is copied or written."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bench.results.reader import Run

if TYPE_CHECKING:
    from collections.abc import Collection


def with_faults(run: Run, numbers: Collection[int]) -> Run:
    """The same run as if only these faults had been made."""
    record = {
        **run.record,
        "faults": [one for one in run.record.get("faults", []) if one["number"] in numbers],
        "recoveries": [one for one in run.record.get("recoveries", []) if one["fault"] in numbers],
        "detections": [one for one in run.record.get("detections", []) if one["fault"] in numbers],
    }
    return Run(run.path, record)


def tenths(run: Run, pieces: int = 10) -> list[Run]:
    """The run's measured phases in pieces of equal length, whole cycles where a phase has them.

    Fewer pieces where a phase has fewer cycles. Each piece has its samples of resources, no counts.
    """
    phases = [phase for phase in run.record.get("phases", []) if phase.get("measured")]
    if not phases:
        return []
    longest = max(phases, key=lambda phase: int(phase["end_ns"]) - int(phase["start_ns"]))
    return [Run(run.path, {**run.record, "phases": [piece]}) for piece in _cut(longest, pieces)]


def _cut(phase: dict[str, Any], pieces: int) -> list[dict[str, Any]]:
    start, length = int(phase["start_ns"]), int(phase["end_ns"]) - int(phase["start_ns"])
    cycles = phase.get("cycles") or 0
    pieces = min(pieces, cycles) if cycles else pieces
    edges = [cycles * number // pieces for number in range(pieces + 1)] if cycles else range(pieces + 1)
    whole = cycles or pieces
    return [
        {
            **phase,
            "start_ns": start + length * first // whole,
            "end_ns": start + length * last // whole,
            "cycles": (last - first) if cycles else None,
        }
        for first, last in pairwise(edges)
    ]
