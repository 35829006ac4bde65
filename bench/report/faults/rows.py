"""The faults that a report shows, and their rows in its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.judge.faults.times import took_effect
from bench.report.columns import row, wrapped

if TYPE_CHECKING:
    from bench.results.reader import Run

Entry = dict[str, Any]
WIDTH = 24
"""Of the first column: "0 exhaust_connections redis" has a line of its own."""
SHOWN_FAULTS = 10
"""More are in run.json; what is said over all repeats is about all of them."""


def shown(run: Run) -> list[Entry]:
    """The faults that have lines of their own: the first of those that took effect."""
    return took_effect(run)[:SHOWN_FAULTS]


def not_shown(run: Run) -> list[str]:
    """The faults that have no line: too many, or without an effect."""
    more = len(took_effect(run)) - SHOWN_FAULTS
    lines = [f"and {more} more, in run.json"] if more > 0 else []
    took = {fault["number"] for fault in took_effect(run)}
    for fault in run.record["faults"]:
        if fault["number"] not in took:
            lines += wrapped(f"{label(fault)}: without effect", "", "  ")
    return lines


def entries(run: Run, fault: Entry) -> list[Entry]:
    """The recoveries of each workload after a fault."""
    return [one for one in run.record.get("recoveries", []) if one["fault"] == fault["number"]]


def of_fault(
    fault: Entry, run: Run, rooms: tuple[int, ...], cells_of: Callable[[Entry], tuple[str, ...]]
) -> list[str]:
    """A line for the fault; with several workloads, one for each of them below it."""
    found = entries(run, fault)
    if len(found) == 1:
        return row(label(fault), WIDTH, zip(cells_of(found[0]), rooms, strict=True))
    lines = [label(fault)]
    for entry in found:
        lines += row(f"  {entry['workload']}", WIDTH, zip(cells_of(entry), rooms, strict=True))
    return lines


def label(fault: Entry) -> str:
    """As in "0 kill redis"."""
    return f"{fault['number']} {fault['kind']} {fault['target']}"
