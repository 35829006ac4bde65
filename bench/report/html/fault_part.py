"""Faults: what was done, who noticed, how each recovered, what it cost, and whether data was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import histogram, units
from bench.judge.faults.times import UNKNOWN, first_failure_ns, took_effect
from bench.judge.outcome_counts import spaced
from bench.judge.repeats import nearest_rank
from bench.report.faults.cost import cost_cells, integrity_counts
from bench.report.faults.detection import detection_cells, detectors, doubts, false_alarms, time_line
from bench.report.faults.phases import PHASES, fault_phases
from bench.report.faults.rows import Entry, entries, label
from bench.report.faults.text import recovery_cells, repeated, statistic
from bench.report.html.marks import used_signs
from bench.report.html.page import (
    Child,
    Column,
    Html,
    badge,
    details,
    element,
    numbers,
    section,
    table,
    words,
)
from bench.report.html.recovery_chart import chart

if TYPE_CHECKING:
    from bench.results.reader import Run

SHOWN_FAULTS = 60
SHOWN_ROWS = 120
DRAWN_FAULTS = 20


def recovery(run: Run) -> Html:
    """The section about faults; empty for a run without any. Raises ResultError."""
    if not run.record.get("faults"):
        return Html()
    faults = took_effect(run)
    lines = [time_line(run, fault) for fault in faults[:DRAWN_FAULTS]]
    signs = used_signs(run)
    drawing = chart(lines)
    more = f" The first {DRAWN_FAULTS} of {len(faults)} are drawn." if len(faults) > DRAWN_FAULTS else ""
    text = (
        "Time since each fault took effect. Striped: no answer; plain: answered, not yet as before."
        f" {', '.join(f'{sign} {word}' for sign, word in signs)}.{more}"
    )
    return section(
        "Faults and recovery",
        element("figure", drawing, element("figcaption", text, class_="soft small")) if drawing else None,
        _recoveries(run, faults),
        element("p", f"{false_alarms(run)[:1].upper()}{false_alarms(run)[1:]}.", class_="soft small"),
        _around(run),
        details("What was done, and the proof that it took effect", _done(run)),
    )


def _recoveries(run: Run, faults: list[Entry]) -> Html | None:
    """Median and longest over repeats, then one row for each fault and workload."""
    names = detectors(run)
    several = len({one["workload"] for one in run.record.get("recoveries", [])}) > 1
    heads = ["to failure", "down", "first OK", "stable", "full", "lost", "stalled", "brown-out", "lanes back"]
    columns = [
        *words("fault"),
        *words(*(["workload"] if several else [])),
        *numbers(*heads),
        *(Column(f"by {name.replace('_', ' ')}", numeric=True) for name in names),
    ]
    rows: list[list[Child]] = []
    for title, hit in repeated(run):
        name, _, workload = title.partition(", ")
        for word, percent in (("median", 50.0), ("longest", 100.0)):
            cells: list[Child] = [*_over(hit, percent), *_noticed(run, hit, names, percent)]
            rows.append([element("em", f"{name}, {word}"), *([workload] if several else []), *cells])
    for fault in faults:
        noticed = detection_cells(run, fault)
        for number, entry in enumerate(entries(run, fault)):
            own = noticed if number == 0 else ["" for _ in names]
            where = [entry["workload"]] if several else []
            rows.append([label(fault), *where, *_cells(entry), *own])
    left_out = len(rows) - SHOWN_ROWS
    rows = rows[:SHOWN_ROWS]
    if not rows:
        return None
    more = f" {left_out} more rows are in run.json." if left_out > 0 else ""
    caption = (
        "From the first failure that a client saw: to the first answer, to lasting answers, to full "
        "performance; to failure: from the fault to the first failure. Down: time without success. Lost: "
        "arrivals that failed. Stalled: answered too late to count as an answer. Brown-out: response time "
        "above the usual, summed over all answers. Lanes back: connections made anew."
        + "".join(f" {text}." for text in doubts(run))
        + more
    )
    return table(columns, rows, caption, narrow="scroll")


def _cells(entry: Entry) -> list[str]:
    to_failure, first, stable, full, lost = recovery_cells(entry)
    down, _, stalled, brown_out, lanes, longest = cost_cells(entry)
    back = lanes if longest == "-" else f"{lanes} in {longest}"
    return [to_failure, down, first, stable, full, lost, stalled, brown_out, back]


def _over(hit: list[Entry], percent: float) -> list[str]:
    to_failure, first, stable, full, lost = statistic(hit, percent)

    down, stalled, brown_out = (
        nearest_rank(sorted(float(entry[key]) for entry in hit), percent)
        for key in ("downtime_ns", "stalled", "brown_out_ns")
    )
    spent = (units.format_duration_ns(down), first, stable, full, lost, spaced(int(stalled)))
    return [to_failure, *spent, units.format_duration_ns(brown_out), ""]


def _noticed(run: Run, hit: list[Entry], names: list[str], percent: float) -> list[str]:
    """Over repeats, of each detector; one that missed a fault has no longest."""
    told = {(one["fault"], one["detector"]): one for one in run.record.get("detections", [])}
    cells = []
    for name in names:
        after = []
        for entry in hit:
            one, since_ns = told.get((entry["fault"], name), {}), first_failure_ns(run, entry["fault"])
            at_ns = one.get("at_ns")
            if at_ns is None and one.get("state") in UNKNOWN:
                continue
            after.append(float("inf") if at_ns is None or since_ns is None else float(at_ns - since_ns))
        if not after:
            cells.append("?")
            continue
        found = nearest_rank(sorted(after), percent)
        cells.append("missed" if found == float("inf") else units.format_duration_ns(found))
    return cells


def _around(run: Run) -> Html | None:
    """Response times before, during and after."""
    rows = []
    for workload, by_phase in fault_phases(run).items():
        for phase in PHASES:
            counts = by_phase[phase]
            if counts.any():
                found = [units.format_duration_ns(histogram.percentile_ns(counts, p)) for p in (50, 95, 99)]
                worst = units.format_duration_ns(histogram.max_ns(counts))
                rows.append([f"{workload}, {phase}", *found, worst, spaced(int(counts.sum()))])
    if not rows:
        return None
    columns = [*words("response"), *numbers("P50", "P95", "P99", "max", "samples")]
    caption = (
        "Response around faults: every arrival by when it was planned; lost ones charged with their deadline"
    )
    return table(columns, rows, caption)


def _done(run: Run) -> Html:
    took = {fault["number"] for fault in took_effect(run)}
    rows = []
    for fault in run.record["faults"][:SHOWN_FAULTS]:
        effect = "took effect" if fault["number"] in took else badge("without effect")
        sure = fault.get("uncertainty_ns")
        rows.append(
            [
                label(fault),
                _time(fault.get("asked_ns")),
                _time(fault.get("effective_ns")),
                None if sure is None else f"± {units.format_duration_ns(sure)}",
                _time(fault.get("healed_ns")),
                [effect, ": ", str(fault.get("proof") or "no proof"), ". ", str(fault.get("how") or "")],
            ]
        )
    columns = [*words("fault"), *numbers("asked", "effective", "known to", "healed")]
    return table([*columns, *words("how and proof")], rows, "Times since the start of the run")


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else units.format_duration_ns(at_ns)


def integrity(run: Run) -> Html:
    """What was found of the data that the servers had acknowledged; empty without such checks."""
    checks = run.record.get("integrity", [])
    rows: list[list[Child]] = []
    for check in checks:
        told = [str(check.get("inconclusive") or integrity_counts(check))]
        told += [str(check[key]) for key in ("text", "caveat") if check.get(key)]
        examples = [str(one) for one in (check.get("examples") or [])[:5]]
        shown = element("div", "Examples: ", ", ".join(examples), class_="soft small") if examples else None
        counts = [check.get(key) for key in ("acknowledged", "found", "lost", "unexpected")]
        rows.append(
            [
                f"{check['workload']}, {str(check['check']).replace('_', ' ')}",
                _state(check),
                *(None if count is None else spaced(count) for count in counts),
                [*(element("div", text) for text in dict.fromkeys(told)), shown],
            ]
        )
    if not rows:
        return Html()
    heads = ("acknowledged", "found", "lost", "unexpected")
    columns = [*words("check", "state"), *numbers(*heads), *words("what was found")]
    caption = "Acknowledged data, read back: a state here is what was found; the rules judge it"
    return section("Data integrity", table(columns, rows, caption, narrow="cards"))


def _state(check: Entry) -> Html:
    if check.get("inconclusive"):
        return badge("not checked")
    return badge("harmed" if check["lost"] or check["unexpected"] else "intact")
