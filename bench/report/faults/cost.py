"""What a fault cost: time without success, lost and late answers, reconnections, data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import histogram, units
from bench.judge.faults.times import is_clean
from bench.judge.outcome_counts import spaced
from bench.report.columns import beside, heading, joined, row, wrapped
from bench.report.faults.phases import PHASES, fault_phases
from bench.report.faults.rows import WIDTH, Entry, entries, of_fault, shown

if TYPE_CHECKING:
    from bench.results.reader import Run

ROOMS = (11, 9, 9, 11, 7, 9)
PHASE_ROOM = 11


def table(run: Run, colour: bool) -> list[str]:
    """Time without success, lost and late answers, lanes that had to reconnect."""
    heads = ("down", "lost", "stalled", "brown-out", "lanes", "longest")
    lines = [heading(row("Outage", WIDTH, zip(heads, ROOMS, strict=True))[0], colour)]
    found = [entry for fault in shown(run) for entry in entries(run, fault)]
    if not any(entry["first_failure_ns"] is not None or entry["slow_from_ns"] is not None for entry in found):
        return []
    for fault in shown(run):
        lines += of_fault(fault, run, ROOMS, cost_cells)
    text = (
        "stalled: answered too late to count as an answer; brown-out: time above the usual, over all answers;"
    )
    return [*lines, *wrapped(f"{text} lanes: connections that came back, and the longest absence of one.")]


def cost_cells(entry: Entry) -> tuple[str, ...]:
    """Time without success, lost, stalled, brown-out, lanes that came back and their longest absence."""
    reconnects = entry.get("reconnects") or {}
    longest_ns = reconnects.get("max_ns")
    return (
        units.format_duration_ns(entry["downtime_ns"]) if is_clean(entry) else "?",
        spaced(entry["failed"]),
        spaced(entry["stalled"]),
        units.format_duration_ns(entry["brown_out_ns"]),
        spaced(reconnects.get("count", 0)),
        "-" if longest_ns is None else units.format_duration_ns(longest_ns),
    )


def phases(run: Run, colour: bool) -> list[str]:
    """Response times before, during and after, from the operation log."""
    heads = [(head, PHASE_ROOM) for head in ("P50", "P95", "P99", "max", "samples")]
    lines = [heading(row("Response around faults", WIDTH, heads)[0], colour)]
    for workload, by_phase in fault_phases(run).items():
        for phase in PHASES:
            counts = by_phase[phase]
            if not counts.any():
                continue
            cells = [units.format_duration_ns(histogram.percentile_ns(counts, p)) for p in (50, 95, 99)]
            cells += [units.format_duration_ns(histogram.max_ns(counts)), spaced(int(counts.sum()))]
            lines += row(f"{workload}, {phase}", WIDTH, [(cell, PHASE_ROOM) for cell in cells])
    return lines if len(lines) > 1 else []


def integrity(run: Run) -> list[str]:
    """What was found of the data that the servers had acknowledged."""
    lines = []
    for check in run.record.get("integrity", []):
        name = f"{check['workload']}, {str(check['check']).replace('_', ' ')}"
        lines += beside("Integrity", f"{name}: {check.get('inconclusive') or integrity_counts(check)}")
    return lines


def integrity_counts(check: Entry) -> str:
    """What a check of data counted, as one line."""
    parts = []
    if check["lost"] is not None:
        of = "" if check["acknowledged"] is None else f" of {spaced(check['acknowledged'])}"
        parts.append(check.get("bound") or f"{spaced(check['lost'])}{of} lost")
    if check.get("oldest_lost_age_ns") is not None:
        parts.append(f"the oldest {units.format_duration_ns(check['oldest_lost_age_ns'])} old")
    if check["unexpected"] is not None:
        of = "" if check["found"] is None else f" of {spaced(check['found'])} found"
        parts.append(f"{spaced(check['unexpected'])}{of} unexpected")
    return joined(parts) or "nothing was counted"
