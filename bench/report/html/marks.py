"""What happened when: phases, faults, detections and recoveries, for every plot over time and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.faults.times import took_effect
from bench.report.faults.detection import time_line
from bench.report.faults.rows import label
from bench.report.html.page import Html, details, numbers, table, words
from bench.report.timeline import SIGNS

if TYPE_CHECKING:
    from bench.results.reader import Run

MOST_MARKS, MOST_SPANS = 1000, 3000
MOST_EVENTS = 200


def marks(run: Run) -> dict[str, Any]:
    """For the script, in seconds: the run's begin and end, `phases`, `spans` (down, slow) and `points`."""
    phases = [
        {
            "name": str(phase.get("name", "")),
            "measured": bool(phase.get("measured")),
            "from": _s(phase.get("start_ns", 0)),
            "to": _s(phase.get("end_ns", 0)),
        }
        for phase in run.record.get("phases", [])
    ]
    points = [
        {"at": _s(at_ns), "sign": SIGNS[name][0], "fault": name == "fault"}
        for at_ns, name, _ in _points(run)[:MOST_MARKS]
    ]
    ends = [_s(phase.get("end_ns", 0)) for phase in run.record.get("phases", [])]
    ends.append(_s(run.record.get("duration_ns") or 0))
    return {
        "workloads": [entry["name"] for entry in run.workloads],
        "from": 0,
        "to": max(ends),
        "phases": phases,
        "spans": _spans(run)[:MOST_SPANS],
        "points": points,
    }


def used_signs(run: Run) -> list[tuple[str, str]]:
    """The signs that stand in the plots, and their words."""
    used = {name for _, name, _ in _points(run)}
    return [SIGNS[name] for name in SIGNS if name in used]


def events_table(run: Run) -> Html | None:
    """Phases and marks in the order of time; None for a run with one phase and no marks."""
    rows: list[tuple[int, str, str]] = [
        (
            int(phase.get("start_ns", 0)),
            f"phase {phase.get('name', '')}",
            f"{'measured' if phase.get('measured') else 'not measured'}, "
            f"until {units.format_duration_ns(phase.get('end_ns', 0))}",
        )
        for phase in run.record.get("phases", [])
    ]
    for at_ns, name, text in _points(run):
        rows.append((at_ns, SIGNS[name][1], f"fault {text}"))
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: row[0])
    columns = [*numbers("at"), *words("what", "more")]
    shown = [(units.format_duration_ns(at_ns), what, text) for at_ns, what, text in rows[:MOST_EVENTS]]
    more = f"; {len(rows) - MOST_EVENTS} more are in events.jsonl" if len(rows) > MOST_EVENTS else ""
    return details(
        "What happened when, as a table", table(columns, shown, f"Since the start of the run{more}")
    )


def _points(run: Run) -> list[tuple[int, str, str]]:
    """When, which sign, of which fault, in the order of time; of several workloads the last to come back."""
    found = []
    for fault in took_effect(run):
        for name, after_ns in time_line(run, fault).marks.items():
            found.append((fault["effective_ns"] + after_ns, name, label(fault)))
    return sorted(found, key=lambda point: (point[0], list(SIGNS).index(point[1])))


def _spans(run: Run) -> list[tuple[int, int, float, float]]:
    """Workload by its place, 1 for down (0: answered, not yet as before), begin and end."""
    places = {entry["name"]: place for place, entry in enumerate(run.workloads)}
    spans = []
    for one in run.record.get("recoveries", []):
        place, since = places.get(one["workload"], -1), one["first_failure_ns"]
        if since is not None:
            back = one["first_success_ns"] if one["first_success_ns"] is not None else one["until_ns"]
            spans.append((place, 1, _s(since), _s(back)))
        else:
            back = one["slow_from_ns"]
        if back is None:
            continue
        whole = next((one[key] for key in ("full_ns", "stable_ns", "until_ns") if one[key] is not None), back)
        if whole > back:
            spans.append((place, 0, _s(back), _s(whole)))
    return spans


def _s(at_ns: float) -> float:
    return round(at_ns / NS_PER_S, 5)
