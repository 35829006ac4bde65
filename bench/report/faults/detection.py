"""Who noticed a fault and when: as a table, and on one line of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.faults.times import IN_ALARM, NO_LOOK, NOTHING, first_failure_ns
from bench.judge.outcome_counts import spaced
from bench.report.columns import heading, row, wrapped
from bench.report.faults.rows import WIDTH, Entry, entries, label, shown
from bench.report.timeline import TimeLine, drawn
from bench.scenario.rules.fault_metrics import DETECTORS

if TYPE_CHECKING:
    from bench.results.reader import Run

SAID = {IN_ALARM: "in alarm", NO_LOOK: "no look"}
"""What stands where a detector told nothing and did not miss the fault."""
MARKS = (("first", "first_success_ns"), ("stable", "stable_ns"), ("full", "full_ns"))


def table(run: Run, colour: bool) -> list[str]:
    """From the first failure to each detector's word, and the false alarms."""
    names = detectors(run)
    if not names:
        return []
    rooms = [max(11, len(name) + 2) for name in names]
    heads = zip((name.replace("_", " ") for name in names), rooms, strict=True)
    lines = [heading(row("Detection", WIDTH, heads)[0], colour)]
    for fault in shown(run):
        lines += row(label(fault), WIDTH, zip(detection_cells(run, fault), rooms, strict=True))
    lines += wrapped(f"From the first failure (else from the fault); {false_alarms(run)}.")
    return lines + [line for text in doubts(run) for line in wrapped(f"{text}.")]


def detectors(run: Run) -> list[str]:
    """The detectors that looked on, in their usual order."""
    detections = run.record.get("detections", [])
    return [name for name in DETECTORS if any(one["detector"] == name for one in detections)]


def detection_cells(run: Run, fault: Entry) -> list[str]:
    """For each detector the time from the first failure to its word, "missed", or "-"."""
    told = {
        one["detector"]: one for one in run.record.get("detections", []) if one["fault"] == fault["number"]
    }
    failure_ns = first_failure_ns(run, fault["number"])
    since_ns = fault["effective_ns"] if failure_ns is None else failure_ns
    return [_detected(told.get(name), since_ns, failure_ns, fault) for name in detectors(run)]


def false_alarms(run: Run) -> str:
    """How many there were, and the first of them: "1 false alarm: probe at 3.00 s"."""
    alarms = run.record.get("false_alarms", [])
    told = ", ".join(f"{one['detector']} at {units.format_duration_ns(one['at_ns'])}" for one in alarms[:5])
    text = f"{spaced(len(alarms))} false alarm{'' if len(alarms) == 1 else 's'}"
    return f"{text}: {told}" if told else text


def _detected(entry: Entry | None, since_ns: int, failure_ns: int | None, fault: Entry) -> str:
    if entry is None:
        return "-"
    if entry["at_ns"] is not None:
        return units.format_duration_ns(entry["at_ns"] - since_ns)
    if failure_ns is None or fault["kind"] == NOTHING:
        return "-"
    return SAID.get(entry.get("state", ""), "missed")


def doubts(run: Run) -> list[str]:
    """Of detectors that told nothing of a fault and did not miss it: why, a sentence for each kind."""
    found: dict[tuple[str, str], str] = {}
    for one in run.record.get("detections", []):
        if one["at_ns"] is None and one.get("state") in SAID:
            text = f"{one['detector'].replace('_', ' ')}, fault {one['fault']}: {one['detail']}"
            found.setdefault((one["detector"], one["state"]), text)
    return list(found.values())


def timeline(run: Run, unicode: bool = True) -> list[str]:
    """One line for each fault: of several workloads the first failure of any, and the last to come back."""
    return drawn([time_line(run, fault) for fault in shown(run)], unicode)


def time_line(run: Run, fault: Entry) -> TimeLine:
    """What followed a fault: of several workloads the first failure of any, and the last to come back."""
    start_ns = fault["effective_ns"]
    marks = {"fault": start_ns}
    for one in run.record.get("detections", []):
        if one["fault"] == fault["number"] and one["at_ns"] is not None and one["detector"] in DETECTORS:
            marks[one["detector"]] = one["at_ns"]
    hit = [one for one in entries(run, fault) if one["first_failure_ns"] is not None]
    slow = [] if hit else [one for one in entries(run, fault) if one["slow_from_ns"] is not None]
    for name, stamp in MARKS:
        stamps = [entry[stamp] for entry in hit or slow]
        if stamps and None not in stamps:
            marks[name] = max(stamps)
    failures = [one["first_failure_ns"] - start_ns for one in hit]
    return TimeLine(
        label(fault),
        {name: at_ns - start_ns for name, at_ns in marks.items()},
        min(failures, default=None),
        max((one["until_ns"] for one in hit or slow), default=start_ns) - start_ns,
        min((one["slow_from_ns"] - start_ns for one in slow), default=None),
    )
