"""Faults on the page: what was done, who noticed, how each recovered, what it cost, whether data was lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core import units
from bench.core.units import spaced
from bench.judge.faults.times import UNKNOWN, first_failure_ns, took_effect
from bench.judge.observation import nearest_rank
from bench.report import context
from bench.report.document import Column
from bench.report.faults.detection import (
    SIGNS,
    TimeLine,
    detection_cells,
    detectors,
    doubts,
    entries,
    extent_ns,
    false_alarms,
    label,
    round_step_ns,
    time_line,
)
from bench.report.faults.recovery import (
    cost_cells,
    integrity_counts,
    phase_rows,
    recovery_cells,
    repeated,
    statistic,
)
from bench.report.html.page import Child, Html, badge, details, element, section, table
from bench.report.html.plots import used_signs
from bench.results.fault_records import FaultRecord, IntegrityRecord, RecoveryRecord
from bench.results.reader import Run

WIDTH = 900
RIGHT, TOP = 40, 30
LETTER = 8.2
"""Width of a letter of a label."""
ROW, BAR = 40, 12
SIGN_ROOM = 15
"""Signs closer than this are set side by side, with a thread to their time."""


def chart(lines: Sequence[TimeLine]) -> Html:
    """A scale, and for each fault the time without answers, the slow time, and the signs of what happened.

    Empty where nothing followed any fault.
    """
    extents = [extent_ns(line) for line in lines]
    if max(extents, default=0) <= 1:
        return Html()
    extent = max(extents)
    height = TOP + ROW * len(lines) + 6
    left = min(320.0, 24 + LETTER * max(len(line.label) for line in lines))
    scale = Scale(left, extent)
    parts = [_grid(scale, height), *(_row(line, n, scale) for n, line in enumerate(lines))]
    drawing = element(
        "svg",
        _patterns(),
        parts,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label="Time line of each fault; the table of recoveries holds its numbers",
        class_="recovery",
    )
    return element(
        "div", drawing, class_="scroll", role="region", tabindex=0, aria_label="Time line of faults"
    )


def _patterns() -> Html:
    stripe = element("path", d="M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", class_="stripe")
    pattern = element("pattern", stripe, id="down-stripes", width=8, height=8, patternUnits="userSpaceOnUse")
    return element("defs", pattern)


@dataclass(frozen=True)
class Scale:
    """From time to place: where 0 is, and how many ns there are up to the right edge."""

    left: float
    extent: int

    def x(self, at_ns: float) -> float:
        """Where a time stands; one before 0 at 0, one beyond the edge at the edge."""
        share = min(1.0, max(0.0, at_ns / self.extent))
        return round(self.left + share * (WIDTH - self.left - RIGHT), 1)


def _grid(scale: Scale, height: int) -> list[Html]:
    step = round_step_ns(scale.extent / 7)
    found = []
    for number in range(int(scale.extent // step) + 1):
        x = scale.x(number * step)
        found.append(element("line", x1=x, x2=x, y1=TOP - 6, y2=height - 4, class_="grid"))
        text = units.format_duration_ns(number * step)
        found.append(element("text", text, x=x, y=TOP - 12, class_="tick", text_anchor="middle"))
    return found


def _row(line: TimeLine, number: int, scale: Scale) -> list[Html]:
    middle = TOP + ROW * number + ROW / 2 + 4
    parts = [element("text", line.label, x=0, y=middle + 4, class_="label")]
    for kind, from_ns, to_ns in reversed(line.bars):
        parts += _bar(kind, from_ns, to_ns, middle, scale)
    return [*parts, *_signs(line, middle, scale)]


def _bar(kind: str, from_ns: int, to_ns: int, middle: float, scale: Scale) -> list[Html]:
    start, end = scale.x(from_ns), scale.x(to_ns)
    if to_ns <= from_ns:
        return []
    width = max(2.0, round(end - start, 1))
    return [element("rect", x=start, y=middle, width=width, height=BAR, class_=f"bar {kind}")]


def _signs(line: TimeLine, middle: float, scale: Scale) -> list[Html]:
    found = []
    places = _places([scale.x(at_ns) for _, at_ns in line.signs])
    for (name, at_ns), place in zip(line.signs, places, strict=True):
        x = scale.x(at_ns)
        sign, word = SIGNS[name]
        title = element("title", f"{word} at {units.format_duration_ns(at_ns)}")
        letter = element("text", sign, x=place, y=middle - 5, class_=f"sign {name}", text_anchor="middle")
        thread = element("line", x1=place, x2=x, y1=middle - 3, y2=middle + 1, class_="thread")
        found.append(element("g", title, thread, letter))
    return found


def _places(wanted: Sequence[float]) -> list[float]:
    """Where signs stand that want these places, in their order: side by side, and none beyond the edge."""
    places: list[float] = []
    for x in wanted:
        places.append(max(x, places[-1] + SIGN_ROOM) if places else x)
    edge = WIDTH - SIGN_ROOM / 2
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], edge)
        edge = places[number] - SIGN_ROOM
    return [round(place, 1) for place in places]


SHOWN_FAULTS = 60
SHOWN_ROWS = 120
DRAWN_FAULTS = 20


def recovery(run: Run) -> Html:
    """The section about faults; empty for a run without any. Raises ResultError."""
    if not run.record.faults:
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


def _recoveries(run: Run, faults: list[FaultRecord]) -> Html:
    """Median and longest over repeats, then one row for each fault and workload."""
    names = detectors(run)
    several = len({one.workload for one in run.record.recoveries}) > 1
    columns = f"fault{' | workload' * several} | #to failure | #down | #first OK | #stable | #full | #lost"
    columns += " | #stalled | #brown-out | #lanes back"
    columns += "".join(f" | #by {name.replace('_', ' ')}" for name in names)
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
            where = [entry.workload] if several else []
            rows.append([label(fault), *where, *_cells(entry), *own])
    left_out = len(rows) - SHOWN_ROWS
    rows = rows[:SHOWN_ROWS]
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


def _cells(entry: RecoveryRecord) -> list[str]:
    to_failure, first, stable, full, lost = recovery_cells(entry)
    down, _, stalled, brown_out, lanes, longest = cost_cells(entry)
    back = lanes if longest == "-" else f"{lanes} in {longest}"
    return [to_failure, down, first, stable, full, lost, stalled, brown_out, back]


def _over(hit: list[RecoveryRecord], percent: float) -> list[str]:
    to_failure, first, stable, full, lost = statistic(hit, percent)

    down, stalled, brown_out = (
        nearest_rank(sorted(map(float, values)), percent)
        for values in zip(
            *((entry.downtime_ns, entry.stalled, entry.brown_out_ns) for entry in hit), strict=True
        )
    )
    spent = (units.format_duration_ns(down), first, stable, full, lost, spaced(int(stalled)))
    return [to_failure, *spent, units.format_duration_ns(brown_out), ""]


def _noticed(run: Run, hit: list[RecoveryRecord], names: list[str], percent: float) -> list[str]:
    """Over repeats, of each detector; one that missed a fault has no longest."""
    detections = {(one.fault, one.detector): one for one in run.record.detections}
    cells = []
    for name in names:
        after = []
        for entry in hit:
            detection, since_ns = detections.get((entry.fault, name)), first_failure_ns(run, entry.fault)
            at_ns = detection.at_ns if detection else None
            if at_ns is None and detection and detection.state in UNKNOWN:
                continue
            after.append(float("inf") if at_ns is None or since_ns is None else float(at_ns - since_ns))
        if not after:
            cells.append("?")
            continue
        found = nearest_rank(sorted(after), percent)
        cells.append("missed" if found == float("inf") else units.format_duration_ns(found))
    return cells


def _around(run: Run) -> Html:
    """Response times before, during and after."""
    columns = "response | #P50 | #P95 | #P99 | #max | #samples"
    caption = (
        "Response around faults: every arrival by when it was planned; lost ones charged with their deadline"
    )
    return table(columns, phase_rows(run), caption)


def _done(run: Run) -> Html:
    took = {fault.number for fault in took_effect(run)}
    rows = []
    for fault in run.record.faults[:SHOWN_FAULTS]:
        effect = "took effect" if fault.number in took else badge("without effect")
        sure = None if fault.uncertainty_ns is None else f"± {_time(fault.uncertainty_ns)}"
        proof = [effect, ": ", fault.proof or "no proof", ". ", fault.how or ""]
        times = (_time(fault.asked_ns), _time(fault.effective_ns), sure, _time(fault.healed_ns))
        rows.append([label(fault), *times, proof])
    columns = "fault | #asked | #effective | #known to | #healed | how and proof"
    return table(columns, rows, "Times since the start of the run")


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else units.format_duration_ns(at_ns)


def integrity(run: Run) -> Html:
    """What was found of the data that the servers had acknowledged; empty without such checks."""
    checks = run.record.integrity
    rows: list[list[Child]] = []
    for check in checks:
        notes = filter(None, (check.inconclusive or integrity_counts(check), check.text, check.caveat))
        # The number of a register, which is no field, comes first.
        examples = [str({**(one.model_extra or {}), **one.to_json()}) for one in check.examples[:5]]
        shown = element("div", "Examples: ", ", ".join(examples), class_="soft small") if examples else None
        counts = (check.acknowledged, check.found, check.lost, check.unexpected)
        known = [None if count is None else spaced(count) for count in counts]
        found = [*(element("div", text) for text in dict.fromkeys(notes)), shown]
        rows.append([f"{check.workload}, {check.check.replace('_', ' ')}", _state(check), *known, found])
    columns = "check | state | #acknowledged | #found | #lost | #unexpected | what was found"
    caption = "Acknowledged data, read back: a state here is what was found; the rules judge it"
    return section("Data integrity", table(columns, rows, caption, narrow="cards"))


def _state(check: IntegrityRecord) -> Html:
    if check.inconclusive:
        return badge("not checked")
    return badge("harmed" if check.lost or check.unexpected else "intact")


def outages(run: Run) -> Html:
    """The section; empty for a run without any."""
    if not run.record.outages:
        return Html()
    columns = [Column("workload"), *context.OUTAGES[1:]]
    return section("Without any success", table(columns, context.outage_rows(run), context.outage_note(run)))
