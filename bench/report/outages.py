"""Stretches without any success, and whose they were: for every form of report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core import units
from bench.judge.faults.times import named
from bench.judge.outcome_counts import spaced
from bench.report.columns import heading, row, wrapped

if TYPE_CHECKING:
    from bench.results.reader import Run

WIDTH = 24
ROOMS = (11, 11, 11)
HEADS = ("at", "length", "failed")
SHOWN = 20


def found(run: Run) -> list[dict[str, Any]]:
    """The outages of a run, in the order of time; none in a run of an older version."""
    outages: list[dict[str, Any]] = run.record.get("outages") or []
    return outages


def cells(outage: dict[str, Any]) -> tuple[str, str, str]:
    """When it began, how long it was, and how many arrivals failed in it."""
    length = units.format_duration_ns(outage["until_ns"] - outage["from_ns"])
    return units.format_duration_ns(outage["from_ns"]), length, spaced(outage["failed"])


def whose(run: Run, outage: dict[str, Any]) -> str:
    """As in "fault 2 (kill redis)", or "nobody's" where nothing that the run did explains it."""
    faults = {fault["number"]: fault for fault in run.record.get("faults", [])}
    fault = faults.get(outage["fault"])
    return "nobody's" if fault is None else named(fault)


def note(run: Run) -> str:
    """What the table means, and what is left out of it."""
    outages = found(run)
    resolution = units.format_duration_ns(max(one["resolution_ns"] for one in outages))
    text = f"No arrival of the workload succeeded; edges are known to {resolution}"
    if any(one["whose"] == "nobody" for one in outages):
        text += "; nobody's: no fault of this run was there, so look at the target's log at that time"
    left_out = len(outages) - SHOWN
    return f"{text}{f'; {left_out} more are in run.json' if left_out > 0 else ''}."


def block(run: Run, colour: bool) -> list[str]:
    """The part of the text report; empty where there was no outage."""
    outages = found(run)
    if not outages:
        return []
    heads = zip(HEADS, ROOMS, strict=True)
    lines = [heading(row("Without success", WIDTH, heads)[0] + "  whose", colour)]
    for one in outages[:SHOWN]:
        *above, last = row(one["workload"], WIDTH, zip(cells(one), ROOMS, strict=True))
        lines += [*above, f"{last}  {whose(run, one)}"]
    return [*lines, *wrapped(note(run))]
