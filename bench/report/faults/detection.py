"""The faults that a report shows, who noticed each of them when, and each on one line of time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core import units
from bench.core.units import spaced
from bench.judge.faults.times import IN_ALARM, NO_LOOK, NOTHING, effective_ns, first_failure_ns, took_effect
from bench.report.document import Preformatted, Section, Table, columns
from bench.report.render.text import WIDTH, wrapped
from bench.results.fault_records import DetectionRecord, FaultRecord, RecoveryRecord
from bench.results.reader import Run
from bench.scenario.rules.metric_facts import ALERT, in_order

SIGNS = {
    "fault": ("X", "fault"),
    "client_errors": ("c", "client errors"),
    "probe": ("p", "probe"),
    "container_health": ("h", "container health"),
    "engine_event": ("e", "engine event"),
    "breaker": ("b", "breaker"),
    "replication": ("r", "replication"),
    "sentinel": ("s", "Sentinel"),
    ALERT: ("a", "first alert"),
    "cluster": ("n", "cluster node"),
    "promotion": ("P", "new primary"),
    "first": ("1", "first success"),
    "stable": ("S", "stable"),
    "full": ("F", "full performance"),
}
DOWN, SLOW, EDGE = ("━", "─", "│"), ("=", "-", "|"), 2
LEAST_TICK = 10
"""Columns from one mark of the scale to the next: room for "200 ms" and a space."""
SPARE = 6
"""Columns at the end for marks that fall together and are set side by side."""


@dataclass(frozen=True)
class TimeLine:
    """One fault; times in ns after it took effect, which may be slightly negative."""

    label: str
    marks: dict[str, int]
    """Name of a sign -> when."""
    down_from_ns: int | None
    """First failure; None where there was none."""
    watched_ns: int
    slow_from_ns: int | None = None
    """Where nothing failed: since when it was slower than usual."""

    @property
    def bars(self) -> list[tuple[str, int, int]]:
        """Kind, begin and end of what is drawn: "down", no answer; "slow", answered and not as before."""
        first = self.marks.get("first", self.watched_ns)
        if self.down_from_ns is not None:
            whole = self.marks.get("full", self.marks.get("stable", first))
            return [("down", self.down_from_ns, first), ("slow", first, whole)]
        whole = self.marks.get("full", self.watched_ns)
        return [] if self.slow_from_ns is None else [("slow", self.slow_from_ns, whole)]

    @property
    def signs(self) -> list[tuple[str, int]]:
        """The marks in the order of time."""
        return sorted(self.marks.items(), key=lambda mark: (mark[1], list(SIGNS).index(mark[0])))


def drawn(lines: Sequence[TimeLine], unicode: bool = True) -> list[str]:
    """A scale, a line for each fault, and what the signs mean; at most 80 columns wide.

    Empty where nothing followed any fault.
    """
    if all(extent_ns(line) <= 1 for line in lines):
        return []
    room = max(len("Timeline"), *(len(line.label) for line in lines)) + 2
    cells = WIDTH - room
    extent = max(extent_ns(line) for line in lines)
    used = {name: None for line in lines for name in SIGNS if name in line.marks}
    scale = _scale(extent, cells, unicode)
    body = [f"{line.label:<{room}}{_line(line, extent, cells, unicode)}" for line in lines]
    legend = ", ".join(f"{SIGNS[name][0]} {SIGNS[name][1]}" for name in SIGNS if name in used)
    return [f"{'Timeline':<{room}}{scale}", *body, *wrapped(legend)]


def extent_ns(line: TimeLine) -> int:
    """The last thing that happened; a target that did not come back was waited for."""
    never = line.down_from_ns is not None and "first" not in line.marks
    never |= line.slow_from_ns is not None and "full" not in line.marks
    return max([1, *line.marks.values(), line.watched_ns if never else 0])


def _cell(at_ns: int, extent: int, cells: int) -> int:
    return max(0, round(at_ns / extent * (cells - SPARE)))


def _line(line: TimeLine, extent: int, cells: int, unicode: bool) -> str:
    down, slow, _ = DOWN if unicode else SLOW
    row = [" "] * cells
    for kind, from_ns, to_ns in line.bars:
        start, end = _cell(from_ns, extent, cells), min(_cell(to_ns, extent, cells), cells)
        row[start:end] = {"down": down, "slow": slow}[kind] * (end - start)
    for name, at_ns in line.signs:
        place = _cell(at_ns, extent, cells)
        while place < cells and not (row[place] == " " or row[place] in (down, slow)):
            place += 1  # two at the same time are set side by side
        if place < cells:
            row[place] = SIGNS[name][0]
    return "".join(row).rstrip()


def _scale(extent: int, cells: int, unicode: bool) -> str:
    """Marks at round times, each followed by its time."""
    edge = DOWN[EDGE] if unicode else SLOW[EDGE]
    step = round_step_ns(extent * LEAST_TICK / max(1, cells - SPARE))
    row = [" "] * cells
    for number in range(int(extent // step) + 1):
        place = _cell(number * step, extent, cells)
        text = edge + units.format_duration_ns(number * step)
        if place + len(text) <= cells:
            row[place : place + len(text)] = text
    return "".join(row).rstrip()


def round_step_ns(least_ns: float) -> int:
    """The smallest round time (1, 2 or 5 times a power of ten) of at least `least_ns`."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least_ns:
                return factor * power
        power *= 10


LABEL_WIDTH = 24
"""Of the first column: "0 exhaust_connections redis" has a line of its own."""
SHOWN_FAULTS = 10
"""More are in run.json; what is said over all repeats is about all of them."""


def shown(run: Run) -> list[FaultRecord]:
    """The faults that have lines of their own: the first of those that took effect."""
    return took_effect(run)[:SHOWN_FAULTS]


def not_shown(run: Run) -> list[str]:
    """The faults that have no line: too many, or without an effect."""
    took = took_effect(run)
    more, numbers = len(took) - SHOWN_FAULTS, {fault.number for fault in took}
    others = [fault for fault in run.record.faults if fault.number not in numbers]
    return [
        *([f"and {more} more, in run.json"] if more > 0 else []),
        *(f"{label(fault)}: without effect" for fault in others),
    ]


def entries(run: Run, fault: FaultRecord) -> list[RecoveryRecord]:
    """The recoveries of each workload after a fault."""
    return [one for one in run.record.recoveries if one.fault == fault.number]


def fault_rows(run: Run, cells_of: Callable[[RecoveryRecord], tuple[str, ...]]) -> list[tuple[str, ...]]:
    """A row for each fault shown; with several workloads, one for each of them below it."""
    rows: list[tuple[str, ...]] = []
    for fault in shown(run):
        found = entries(run, fault)
        if len(found) == 1:
            rows.append((label(fault), *cells_of(found[0])))
        else:
            rows += [(label(fault),), *((f"  {entry.workload}", *cells_of(entry)) for entry in found)]
    return rows


def label(fault: FaultRecord) -> str:
    """As in "0 kill redis"."""
    return f"{fault.number} {fault.kind} {fault.where}"


SAID = {IN_ALARM: "in alarm", NO_LOOK: "no look"}
"""Shown where a detector reported nothing and did not miss the fault."""
MARKS = (("first", "first_success_ns"), ("stable", "stable_ns"), ("full", "full_ns"))


def detection_section(run: Run) -> Section:
    """From the first failure to when each detector noticed it, and the false alarms."""
    names = detectors(run)
    if not names:
        return Section("", ())
    heads = [f"Detection:{LABEL_WIDTH}"]
    heads += [f"{name.replace('_', ' ')}:{max(11, len(name) + 2)}" for name in names]
    rows = [(label(fault), *detection_cells(run, fault)) for fault in shown(run)]
    return Section(
        "",
        (
            Table("", columns(" | #".join(heads)), tuple(rows)),
            f"From the first failure (else from the fault); {false_alarms(run)}.",
            *(f"{doubt}." for doubt in doubts(run)),
        ),
    )


def detectors(run: Run) -> list[str]:
    """The detectors of the run, in their usual order."""
    detections = run.record.detections
    return in_order(one.detector for one in detections)


def detection_cells(run: Run, fault: FaultRecord) -> list[str]:
    """For each detector the time from the first failure until it noticed, "missed", or "-"."""
    detections = {one.detector: one for one in run.record.detections if one.fault == fault.number}
    failure_ns = first_failure_ns(run, fault.number)
    since_ns = effective_ns(fault) if failure_ns is None else failure_ns
    return [_detected(detections.get(name), since_ns, failure_ns, fault) for name in detectors(run)]


def false_alarms(run: Run) -> str:
    """How many there were, and the first of them: "1 false alarm: probe at 3.00 s"."""
    alarms = run.record.false_alarms
    listed = ", ".join(f"{one.detector} at {units.format_duration_ns(one.at_ns)}" for one in alarms[:5])
    text = f"{spaced(len(alarms))} false alarm{'' if len(alarms) == 1 else 's'}"
    return f"{text}: {listed}" if listed else text


def _detected(
    entry: DetectionRecord | None, since_ns: int, failure_ns: int | None, fault: FaultRecord
) -> str:
    if entry is None:
        return "-"
    if entry.at_ns is not None:
        return units.format_duration_ns(entry.at_ns - since_ns)
    if failure_ns is None or fault.kind == NOTHING:
        return "-"
    return SAID.get(entry.state or "", "missed")


def doubts(run: Run) -> list[str]:
    """Why detectors reported nothing of a fault and did not miss it, a sentence for each kind."""
    found: dict[tuple[str, str], str] = {}
    for one in run.record.detections:
        if one.at_ns is None and one.state in SAID:
            text = f"{one.detector.replace('_', ' ')}, fault {one.fault}: {one.detail}"
            found.setdefault((one.detector, one.state), text)
    return list(found.values())


def timeline(run: Run, unicode: bool = True) -> Section:
    """One line for each fault: of several workloads the first failure of any, and the last to come back."""
    lines = drawn([time_line(run, fault) for fault in shown(run)], unicode)
    return Section("", (Preformatted(tuple(lines)),))


def _has_sign(detector: str) -> bool:
    return detector in SIGNS or detector.startswith(ALERT)


def time_line(run: Run, fault: FaultRecord) -> TimeLine:
    """What followed a fault: of several workloads the first failure of any, and the last to come back."""
    start_ns = effective_ns(fault)
    marks = {"fault": start_ns}
    for one in run.record.detections:
        if one.fault == fault.number and one.at_ns is not None and _has_sign(one.detector):
            sign = ALERT if one.detector.startswith(ALERT) else one.detector
            marks[sign] = min(one.at_ns, marks.get(sign, one.at_ns))
    for made in run.record.promotions:
        if made.fault == fault.number and made.at_ns is not None:
            marks["promotion"] = made.at_ns
    hit = [one for one in entries(run, fault) if one.first_failure_ns is not None]
    slow = [] if hit else [one for one in entries(run, fault) if one.slow_from_ns is not None]
    for name, stamp in MARKS:
        stamps: list[int | None] = [getattr(entry, stamp) for entry in hit or slow]
        known = [at_ns for at_ns in stamps if at_ns is not None]
        if stamps and len(known) == len(stamps):
            marks[name] = max(known)
    failures = [one.first_failure_ns - start_ns for one in hit if one.first_failure_ns is not None]
    return TimeLine(
        label(fault),
        {name: at_ns - start_ns for name, at_ns in marks.items()},
        min(failures, default=None),
        max((one.until_ns for one in hit or slow), default=start_ns) - start_ns,
        min((one.slow_from_ns - start_ns for one in slow if one.slow_from_ns is not None), default=None),
    )
