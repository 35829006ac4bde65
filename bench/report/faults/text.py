"""The faults of a run: how long each kept the target away, one by one and over the repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.faults.times import is_clean, took_effect
from bench.judge.outcome_counts import spaced
from bench.judge.repeats import CUT_SHORT, nearest_rank
from bench.report.columns import heading, row
from bench.report.faults import cost as fault_cost
from bench.report.faults import detection as fault_detection
from bench.report.faults.rows import WIDTH, Entry, entries, not_shown, of_fault, shown

if TYPE_CHECKING:
    from bench.results.reader import Run

ROOMS = (12, 11, 11, 11, 11)
STAMPS = ("first_success_ns", "stable_ns", "full_ns")


def blocks(run: Run, colour: bool, unicode: bool) -> list[list[str]]:
    """The parts of the text report about faults; empty for a run without any. Raises ResultError."""
    if not run.record.get("faults"):
        return []
    return [
        _recovery(run, colour),
        fault_detection.timeline(run, unicode),
        fault_detection.table(run, colour),
        fault_cost.table(run, colour),
        fault_cost.phases(run, colour),
        fault_cost.integrity(run),
    ]


def _recovery(run: Run, colour: bool) -> list[str]:
    """Fault to first failure, then from there to each stamp."""
    heads = ("to failure", "first OK", "stable", "full", "lost")
    lines = [heading(row("Recovery", WIDTH, zip(heads, ROOMS, strict=True))[0], colour)]
    for fault in shown(run):
        lines += of_fault(fault, run, ROOMS, recovery_cells)
    lines += not_shown(run)
    return [*lines, *_over_repeats(run)]


def recovery_cells(entry: Entry) -> tuple[str, ...]:
    """Fault to first failure; from there to the first OK, stable, full; arrivals lost."""
    failure_ns, lost = entry["first_failure_ns"], spaced(entry["failed"])
    if entry["state"] == "unseen":
        return ("no arrivals", "-", "-", "-", "-")
    if not is_clean(entry):
        return ("no baseline", "?", "?", "?", lost)
    if failure_ns is None:
        slow_ns = entry["slow_from_ns"]
        full = "-" if slow_ns is None else _after(entry, "full_ns", slow_ns)
        return ("unaffected" if slow_ns is None else "slower", "-", "-", full, lost)
    since_fault = units.format_duration_ns(failure_ns - entry["effective_ns"])
    return (since_fault, *(_after(entry, stamp, failure_ns) for stamp in STAMPS), lost)


def _after(entry: Entry, stamp: str, since_ns: int) -> str:
    """The time to a stamp, "never", or "?" where the watch ended too early to tell."""
    if entry[stamp] is not None:
        return units.format_duration_ns(entry[stamp] - since_ns)
    if stamp == "full_ns":
        if entry["full_cut_short"] or entry["baseline"]["band_ns"] is None:
            return "?"
        if entry["stable_ns"] is not None or entry["first_failure_ns"] is None:
            return f"> {units.format_duration_ns(entry['until_ns'] - since_ns)}"
    return "?" if entry["state"] == CUT_SHORT and stamp != "first_success_ns" else "never"


def _over_repeats(run: Run) -> list[str]:
    lines = []
    for title, hit in repeated(run):
        lines.append(title)
        lines += row("  median", WIDTH, zip(statistic(hit, 50), ROOMS, strict=True))
        lines += row("  longest", WIDTH, zip(statistic(hit, 100), ROOMS, strict=True))
    return lines


def repeated(run: Run) -> list[tuple[str, list[Entry]]]:
    """What was hit in the same way more than once, as in "5 x kill redis", and what failed of it."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for fault in took_effect(run):
        for entry in entries(run, fault):
            groups.setdefault((fault["kind"], fault["target"], entry["workload"]), []).append(entry)
    found = []
    for (kind, target, workload), alike in groups.items():
        hit = [entry for entry in alike if entry["first_failure_ns"] is not None and is_clean(entry)]
        if len(alike) >= 2 and hit:
            among = f", {workload}" if len({name for _, _, name in groups}) > 1 else ""
            found.append((f"{len(alike)} x {kind} {target}{among}", hit))
    return found


def statistic(hit: list[Entry], percent: float) -> tuple[str, ...]:
    """Nearest rank over those that were hit; where a stamp is missing, the longest is not known."""
    delays = sorted(entry["first_failure_ns"] - entry["effective_ns"] for entry in hit)
    cells = [units.format_duration_ns(nearest_rank(delays, percent))]
    for stamp in STAMPS:
        ordered = sorted(
            float("inf") if entry[stamp] is None else entry[stamp] - entry["first_failure_ns"]
            for entry in hit
        )
        found = nearest_rank(ordered, percent)
        cells.append("-" if found == float("inf") else units.format_duration_ns(found))
    return (*cells, spaced(int(nearest_rank(sorted(entry["failed"] for entry in hit), percent))))
