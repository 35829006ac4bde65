"""Arrivals: how many were planned and done, and how each of them ended, over time and in all."""

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.units import spaced
from bench.judge.measures import answers_of
from bench.judge.verdict import Verdict
from bench.registry import kind_of_answers
from bench.report.figures import arrival_rows, scope_text, tallies
from bench.report.html.page import Child, Html, section, table
from bench.report.html.plots import Book, Limit, Line, Plot, folded
from bench.report.html.slices import LABELS, Slices
from bench.results.load_records import WorkloadRecord
from bench.results.reader import Run
from bench.scenario.rules.grammar import RuleText

FIRST_SHOWN = 4
SHOWN_ERRORS = 20
FAILURES = LABELS[1:]


def arrivals(run: Run, verdict: Verdict, book: Book, fine: Slices, coarse: Slices) -> Html:
    """The section of throughput and outcomes: totals, then each workload over time."""
    figures: list[Html | None] = []
    for entry in run.workloads if fine.steps() else ():
        figures.append(_throughput(verdict, book, entry, fine, coarse, len(figures)))
        figures.append(_outcomes(book, entry.name, fine, len(figures)))
    plots = folded([one for one in figures if one], 2 * FIRST_SHOWN, "plots")
    return section(
        "Arrivals and throughput", _totals(run), *plots, _answers(run), _errors(run), anchor="arrivals"
    )


def _totals(run: Run) -> Html:
    """The same figures as the text report."""
    columns = " | #".join(("operation", "planned", *LABELS))
    caption = (
        "Measured phases. Every planned arrival ends in exactly one outcome. Error: the server said so; "
        "timeout and reset: sent, no answer; refused: no connection; dropped: no lane was free before "
        "its deadline"
    )
    return table(columns, arrival_rows(run), caption)


def _throughput(
    verdict: Verdict, book: Book, entry: WorkloadRecord, fine: Slices, coarse: Slices, number: int
) -> Html:
    name = entry.name
    planned, done = fine.rates(name, "planned"), fine.rates(name, "ok")
    limits = [
        Limit(RuleText.of(check.rule).bound, check.limit)
        for check in verdict.checks
        if check.metric in (f"{name}.throughput", "throughput") and check.limit is not None
    ]
    lines = [
        Line("planned", [*planned, *planned[-1:]], 1, "dash", 1.5, stepped=True),
        Line("done OK", [*done, *done[-1:]], 0, "solid", 2.0, stepped=True),
    ]
    plot = Plot(f"throughput-{number}", _edges(fine), lines, "per_s", limits=limits, floor=0.0, workload=name)
    known = [rate for rate in done if rate is not None]
    words = f"Done: {_rate(min(known))} to {_rate(max(known))}." if known else "Nothing was done."
    closed = entry.arrivals == "closed"
    text = f"Arrivals a second, in steps of {fine.width()}." + (
        " A closed loop plans an arrival when a lane is free." if closed else ""
    )
    return book.figure(plot, f"{name}: throughput, planned and done", text, words, _counts(name, coarse))


def _outcomes(book: Book, name: str, fine: Slices, number: int) -> Html | None:
    """Arrivals that did not end OK, stacked; with those that did where all of them are comparable."""
    rates = {label: fine.rates(name, label) for label in LABELS}
    totals = {label: sum(total or 0 for total in fine.sums(name, label)) for label in LABELS}
    failed = [label for label in FAILURES if totals[label]]
    if not failed:
        return None
    # A few failures beside many successes would be a line too thin to see.
    with_ok = totals["ok"] < 20 * sum(totals[label] for label in failed)
    shown = ["ok", *failed] if with_ok else failed
    lines = [
        Line(
            label.upper() if label == "ok" else label,
            [*rates[label], *rates[label][-1:]],
            stepped=True,
            pattern=label,
        )
        for label in shown
    ]
    plot = Plot(f"outcomes-{number}", _edges(fine), lines, "per_s", stacked=True, floor=0.0, workload=name)
    title = f"{name}: how arrivals ended" if with_ok else f"{name}: arrivals that did not end OK"
    counted = ", ".join(f"{spaced(int(totals[label]))} {label}" for label in shown)
    text = (
        f"Ends a second, on top of each other, in steps of {fine.width()}. In all phases: {counted}. "
        "Their numbers are in the table above."
    )
    return book.figure(plot, title, text, f"{counted}.", None)


def _counts(name: str, slices: Slices) -> Html:
    columns = ["planned", *LABELS]
    sums = [slices.sums(name, column) for column in columns]
    rows: list[list[Child]] = [
        [
            units.format_duration_ns(one.start_ns),
            one.phase,
            *(None if column[place] is None else spaced(int(column[place] or 0)) for column in sums),
        ]
        for place, one in enumerate(slices.all)
    ]
    heads = " | #".join(("#from | phase", *columns))
    return table(heads, rows, f"{name}: arrivals taken from the plan, and ends, in steps of {slices.width()}")


def _edges(slices: Slices) -> list[float]:
    steps = slices.steps()
    return [one.start_ns / NS_PER_S for one in steps] + [steps[-1].end_ns / NS_PER_S]


def _rate(per_s: float) -> str:
    return units.format_rate(per_s)


def _answers(run: Run) -> Html:
    """What answers brought, whatever became of their arrivals: statuses, hits and misses."""
    rows: list[list[Child]] = []
    drivers = {entry.name: entry.driver for entry in run.workloads}
    for workload, operation, _ in tallies(run):
        found = answers_of(run, (workload, operation) if operation else (workload,))
        kinds = {f"HTTP {status}": count for status, count in found.statuses.items()}
        if found.lookups:
            names = (
                ("rows found", "no row")
                if kind_of_answers(str(drivers[workload])) == "rows"
                else ("hit", "miss")
            )
            kinds |= dict(zip(names, (found.hits, found.misses), strict=True))
        total = sum(kinds.values())
        rows += [
            [scope_text(workload, operation), kind, spaced(count), units.format_ratio(count / total)]
            for kind, count in kinds.items()
        ]
    columns = "operation | answer | #times | #share"
    caption = (
        "What answers brought in the measured phases: an answer without an error may be empty, or a redirect"
    )
    return table(columns, rows, caption)


def _errors(run: Run) -> Html:
    """What the servers said, the most frequent first, and what only some drivers count."""
    errors = [
        (error.count, f"{workload.name}.{error.operation}", error.shown)
        for workload in run.workloads
        for error in workload.errors
    ]
    errors.sort(key=lambda error: -error[0])
    rows: list[list[Child]] = [[place, spaced(count), text] for count, place, text in errors[:SHOWN_ERRORS]]
    more = f"; {len(errors) - SHOWN_ERRORS} more kinds are in run.json" if len(errors) > SHOWN_ERRORS else ""
    columns = "operation | #times | the server said"
    return table(columns, rows, f"Errors, the most frequent first{more}")
