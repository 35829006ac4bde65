"""What a search for the capacity has found, as a document: the result, and the curve as table and drawing."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from bench.capacity.readings import FULL, by_rate
from bench.capacity.record import CapacityRecord, ProbeRecord, ending_of
from bench.capacity.search import Bounds, Ending, Reading
from bench.core.units import counted, format_duration_ns, format_rate, format_ratio
from bench.judge.verdict import Status
from bench.report.document import Badge, Cell, Facts, Headline, Link, Preformatted, Section, Table, columns
from bench.report.render import markdown, text

WIDTH, HEIGHT = 62, 9
MARGIN = 10
MARKS = {Reading.HELD: "o", Reading.BROKE: "x", Reading.UNDECIDED: "?", Reading.GENERATOR: "!"}
WORDS = {
    Reading.HELD: "held",
    Reading.BROKE: "broke",
    Reading.UNDECIDED: "undecided",
    Reading.GENERATOR: "generator",
}


def chart(probes: Sequence[ProbeRecord], unicode: bool = True) -> tuple[str, ...]:
    """Lines of at most 80 columns; none where fewer than two rates have times."""
    points = [(probe.rate_per_s, probe.p95_ns, probe.found) for probe in probes if probe.p95_ns]
    if len({rate for rate, _, _ in points}) < 2:
        return ()
    rates, times = [rate for rate, _, _ in points], [time for _, time, _ in points]
    lowest, highest = math.log(min(times)), math.log(max(times))
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for rate, time, reading in points:
        column = round((rate - min(rates)) / (max(rates) - min(rates)) * (WIDTH - 1))
        share = (math.log(time) - lowest) / (highest - lowest) if highest > lowest else 0.0
        canvas[round((1 - share) * (HEIGHT - 1))][column] = MARKS[reading]
    wall, floor, corner = ("│", "─", "└") if unicode else ("|", "-", "+")
    marks = {0: format_duration_ns(max(times)), HEIGHT - 1: format_duration_ns(min(times))}
    lines = [
        f"{marks.get(row, ''):>{MARGIN}} {wall}{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)
    ]
    left, right = format_rate(min(rates)), format_rate(max(rates))
    used = ", ".join(
        f"{MARKS[one]} {WORDS[one]}" for one in MARKS if any(point[2] is one for point in points)
    )
    return (
        f"{'P95':>{MARGIN}}",
        *lines,
        f"{'':>{MARGIN}} {corner}{floor * WIDTH}",
        f"{'':>{MARGIN}}  {left}{right:>{WIDTH - len(left)}}",
        f"{'':>{MARGIN}}  {used}; the scale of P95 is logarithmic",
    )


SIGNS: Mapping[Reading, Status] = {
    Reading.HELD: Status.PASS,
    Reading.BROKE: Status.FAIL,
    Reading.UNDECIDED: Status.INCONCLUSIVE,
    Reading.GENERATOR: Status.INVALID,
}
"""The colour and sign of what a probe says about its rate."""
CURVE = "#Rate:12 | #done:10 | #P50:9 | #P95:9 | #P99:9 | #busiest:20 | "
ENDINGS: Mapping[Ending, str] = {
    Ending.PRECISE: "the interval is as narrow as asked",
    Ending.UNDECIDED: "between its bounds no probe could tell; a longer --for narrows them",
    Ending.GENERATOR: "the generator cannot offer more: the target's own limit is higher, and not known",
    Ending.HIGHEST: "all rules hold at the highest rate that was allowed (--max-rate)",
    Ending.LOWEST: "the rules break even at the lowest rate",
    Ending.PROBES: "no more probes were allowed (--max-probes)",
}
OPEN = (Ending.GENERATOR, Ending.HIGHEST)
"""How a search can end without a rate that breaks the rules, and have found what could be."""
MOST_OF_A_REASON = 120
NOTHING_FULL = (
    "nothing measured is full: requests wait for something else (locks, a pool inside, the network)"
)


def render_text(record: CapacityRecord, colour: bool = False, unicode: bool = True) -> str:
    """For a terminal, with a line end; the result stands last, where it stays on the screen."""
    curve = Section("", (_curve(record), *_notes(record)))
    drawn = chart(record.probes, unicode)
    parts = [curve, *([Section("", (Preformatted(drawn),))] if drawn else []), Section("", (facts(record),))]
    return text.render([*parts, Section("", (headline(record),))], colour)


def render_markdown(record: CapacityRecord, file: Path, beside: Path) -> str:
    """For a step summary, a ticket or a wiki; links to the runs beside `file` are relative to `beside`."""
    return markdown.render(sections(record, file), beside)


def sections(record: CapacityRecord, file: Path) -> list[Section]:
    """All of it; `file`: that of the search, beside which the runs of its probes are."""
    return [
        Section("", (headline(record), facts(record))),
        Section("Throughput and response time", (whole_curve(record, file), *_notes(record))),
    ]


def headline(record: CapacityRecord) -> Headline:
    """The result in one line."""
    rate, first = record.rate_per_s, record.first_failing_per_s
    words = "no rate was shown to hold" if rate is None else f"{format_rate(rate)} holds"
    if rate is None:
        no_rate = record.ending == Ending.LOWEST
        word, status = ("NO RATE", Status.FAIL) if no_rate else ("CANNOT TELL", Status.INCONCLUSIVE)
        return Headline(Badge(word, status), record.scenario, words)
    if first is not None:
        words += f", {format_rate(first)} does not"
    elif record.ending not in OPEN:
        return Headline(
            Badge("CANNOT TELL", Status.INCONCLUSIVE), record.scenario, f"{words}; its limit is not known"
        )
    if record.unmet:
        return Headline(Badge("BELOW THE MINIMUM", Status.FAIL), record.scenario, words)
    return Headline(Badge("FOUND", Status.PASS), record.scenario, words)


def outcome(record: CapacityRecord) -> str:
    """Why the search ended, in words; where a rate holds and one does not, between which it lies."""
    ending = ending_of(record)
    if ending is None:
        return "the search has not ended; go on with --resume"
    untold = [probe for probe in record.probes if probe.found in (Reading.UNDECIDED, Reading.GENERATOR)]
    if ending in OPEN or not untold or ending is Ending.PRECISE:
        return ENDINGS[ending]
    because = f"{len(untold)} of them could not tell; the last: {untold[-1].because}"
    return because if record.first_failing_per_s is None else f"{ENDINGS[ending]}; {because}"


def facts(record: CapacityRecord) -> Facts:
    """What limits the rate, what is full, where the knee is."""
    found = [("probes", f"{len(record.probes)}; {outcome(record)}")]
    rate, first = record.rate_per_s, record.first_failing_per_s
    if rate is not None and first is not None:
        apart = format_ratio(round(first / rate - 1, 4))
        asked = format_ratio(record.precision)
        found.insert(
            0, ("capacity", f"{format_rate(rate)} to {format_rate(first)}: {apart} apart, {asked} asked")
        )
    elif rate is not None:
        found.insert(0, ("capacity", f"at least {format_rate(rate)}"))
    if len(record.own_per_s) > 1 and rate is not None:
        shares = [f"{name} {format_rate(record.rate_of(name) or 0)}" for name in record.own_per_s]
        found.append(("of that", ", ".join(shares)))
    if record.limited_by is not None:
        found.append(("limited by", limit_text(record)))
    if first is not None:
        found.append(("full first", full_text(record)))
    if record.knee_per_s is not None:
        found.append(("knee", f"{format_rate(record.knee_per_s)}: most throughput for its P95"))
    found += [
        ("not met", f"{rule}: the capacity is below it, so no rate satisfies all rules")
        for rule in record.unmet
    ]
    return Facts(tuple(found), width=12)


def limit_text(record: CapacityRecord) -> str:
    """What limits the rate."""
    match record.limited_by:
        case "generator":
            return "the load generator, not the target: more threads or another machine can offer more"
        case "backlog":
            return "a queue that grows: the target ends less than is asked of it"
        case "max_rate" | "max_probes" as option:
            return f"--{option.replace('_', '-')}: no rate that was tried broke the rules"
        case rule:
            return f"{rule}, which breaks first"


def full_text(record: CapacityRecord) -> str:
    """What was full first."""
    if record.saturated is None:
        return NOTHING_FULL
    for probe in by_rate(record.probes):
        if probe.in_use.get(record.saturated, 0.0) >= FULL:
            used = format_ratio(round(probe.in_use[record.saturated], 3))
            return f"{record.saturated}, {used} in use at {format_rate(probe.rate_per_s)}"
    return record.saturated


def after_a_probe(record: CapacityRecord, bounds: Bounds, each_ns: int) -> str:
    """The line after a probe: its rate, what it says, what is known, and how long it may go on."""
    probe = record.probes[-1]
    done, most = len(record.probes), bounds.most_probes
    why = f": {shorten(probe.because, MOST_OF_A_REASON)}" if probe.because else _times(probe)
    left = f"at most {format_duration_ns((most - done) * each_ns)} left"
    return (
        f"probe {done} of at most {most}: {format_rate(probe.rate_per_s)} {probe.reading} ({probe.status})"
        f"{why}; {_known(record)}; {left}"
    )


def _times(probe: ProbeRecord) -> str:
    return "" if probe.p95_ns is None else f", P95 {format_duration_ns(probe.p95_ns)}"


def _known(record: CapacityRecord) -> str:
    low, high = record.rate_per_s, record.first_failing_per_s
    if low is None and high is None:
        return "nothing is known yet"
    if low is None:
        return f"the capacity is below {format_rate(high or 0)}"
    if high is None:
        return f"the capacity is above {format_rate(low)}"
    return f"the capacity is between {format_rate(low)} and {format_rate(high)}"


def _curve(record: CapacityRecord) -> Table:
    """For 80 columns: of all that was in use only the busiest."""
    rows: list[tuple[Cell, ...]] = [
        (*_figures(probe), _busiest(probe), _badge(probe)) for probe in by_rate(record.probes)
    ]
    return Table("", columns(CURVE), tuple(rows))


def whole_curve(record: CapacityRecord, file: Path) -> Table:
    """Every probe by its rate, with all that was in use and a link to its run."""
    names = list(dict.fromkeys(name for probe in record.probes for name in probe.in_use))
    rows: list[tuple[Cell, ...]] = [
        (
            *_figures(probe),
            *(_share(probe.in_use.get(name)) for name in names),
            probe.reading,
            Badge.of(Status[probe.status]),
            Link(probe.run, file.parent / probe.run),
            probe.because or "-",
        )
        for probe in by_rate(record.probes)
    ]
    heads = " | #".join(("#Rate", "done", "P50", "P95", "P99", *names))
    return Table(
        "Every probe, by its rate", columns(f"{heads} | Reads | Status | Run | Because"), tuple(rows)
    )


def _figures(probe: ProbeRecord) -> tuple[str, ...]:
    times = (probe.p50_ns, probe.p95_ns, probe.p99_ns)
    shown = ("-" if ns is None else format_duration_ns(ns) for ns in times)
    return (format_rate(probe.rate_per_s), format_rate(probe.done_per_s), *shown)


def _busiest(probe: ProbeRecord) -> str:
    used = {name: share for name, share in probe.in_use.items() if not name.endswith(".lanes")}
    if not used:
        return "-"
    name = max(used, key=lambda one: used[one])
    return f"{name} {_share(used[name])}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f} %"


def _badge(probe: ProbeRecord) -> Badge:
    return Badge(probe.reading, SIGNS[probe.found])


def _notes(record: CapacityRecord) -> list[str]:
    """The rules that some probes did not judge."""
    left_out = {rule: because for probe in record.probes for rule, because in probe.left_out.items()}
    where: dict[str, int] = {
        rule: sum(rule in probe.left_out for probe in record.probes) for rule in left_out
    }
    return [
        f"Not judged in {counted(where[rule], 'probe')}: {rule} ({because})."
        for rule, because in left_out.items()
    ]
