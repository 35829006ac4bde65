"""A watch as a document: how each objective stands, what happened, what nobody saw; as text and as a page."""

from collections.abc import Iterator
from pathlib import Path

from bench.core.clock import utc_text
from bench.core.errors import ExitCode, ResultError
from bench.core.units import counted, format_duration_ns, format_ratio, spaced
from bench.judge.verdict import Status
from bench.report.document import Badge, Block, Bullets, Cell, Facts, Headline, Link, Note, Section, table
from bench.report.html.page import element, page
from bench.report.render import html, text
from bench.results.layout import write_whole
from bench.watch.history import IncidentRecord
from bench.watch.journal import PAGE, RUNS
from bench.watch.objectives import BROKEN, HOLDS, BurnRecord, StandingRecord
from bench.watch.summary import RecentRecord, SummaryRecord

BADGES = {
    ExitCode.OK: Badge("HOLDS", Status.PASS),
    ExitCode.SLA_FAILED: Badge("BROKEN", Status.FAIL),
    ExitCode.UNKNOWN: Badge("CANNOT TELL", Status.INCONCLUSIVE),
}
STATES = {HOLDS: Status.PASS, BROKEN: Status.FAIL}
INCIDENTS_IN_A_TEXT = 10
SOURCE = (
    "A burn rate of 1 spends the budget exactly in its window. An alert needs both windows of a pair above "
    "its threshold; pairs and thresholds are those of Google's Site Reliability Workbook, chapter 5."
)


def render_text(summary: SummaryRecord, folder: Path, colour: bool = False) -> str:
    """For a terminal of 80 columns; what it comes to stands last, where it stays on the screen."""
    headline, *parts = _sections(summary, folder, INCIDENTS_IN_A_TEXT)
    return text.render([*parts, headline], colour)


def save(summary: SummaryRecord, folder: Path, refresh_s: int) -> Path:
    """Write the page of a watch, whole or not at all. Raises ResultError."""
    path = folder / PAGE
    headline, *parts = _sections(summary, folder, None)
    title = f"Watch of {summary.scenario}"
    body = element(
        "main",
        element("h1", title),
        html.sections([Section("State", headline.blocks), *parts], folder),
        id="main",
    )
    try:
        write_whole(path, page(title, body, refresh_s=refresh_s))
    except OSError as error:
        raise ResultError(f"{path}: the page cannot be written: {error.strerror}; make room") from error
    return path


def _sections(summary: SummaryRecord, folder: Path, most: int | None) -> list[Section]:
    return [
        Section("", (_headline(summary), _counts(summary), *_alerts(summary))),
        Section("Objectives", tuple(_objectives(summary))),
        Section("Incidents", tuple(_incidents(summary, folder, most))),
        Section("Last hour", _recent(summary.recent)),
        Section("Days", _days(summary, most)),
        Section("Not watched", tuple(_gaps(summary, most))),
    ]


def _headline(summary: SummaryRecord) -> Headline:
    incidents = counted(len(summary.incidents) + summary.earlier_incidents, "incident")
    said = f"{incidents} in {format_duration_ns(summary.watched_ns)} watched"
    return Headline(BADGES[summary.exit_code], summary.scenario, said)


def _counts(summary: SummaryRecord) -> str:
    arrivals, segments = spaced(summary.planned), counted(summary.segments, "segment")
    return f"{arrivals} arrivals in {segments} until {_time(summary.until_ns)} UTC."


def _alerts(summary: SummaryRecord) -> Iterator[Block]:
    for one in summary.incidents:
        if not one.is_over:
            yield Note(f"{one.workload} has an incident since {_time(one.begin_ns)} UTC")
    for standing in summary.objectives:
        burning = [burn for burn in standing.burns if burn.is_alert]
        if burning:
            worst = max(burning, key=lambda burn: (burn.long_rate or 0) / burn.threshold)
            times = f"{worst.long_rate or 0:.1f} times as fast as it may"
            over = f"{format_duration_ns(worst.long_ns)} and {format_duration_ns(worst.short_ns)}"
            yield Note(f"{standing.objective}: alert, the budget burns {times} over {over}")


def _objectives(summary: SummaryRecord) -> Iterator[Block]:
    for one in summary.objectives:
        share = "-" if one.share is None else format_ratio(one.share)
        entries = (
            ("Arrivals", one.because),
            ("Good", f"{share} of {spaced(one.planned)} arrivals, {format_ratio(1 - one.allowed)} wanted"),
            ("Budget", f"{_budget(one.budget_left)}; {format_ratio(one.watched)} of the time watched"),
            ("Burn rate", "; ".join(map(_burn, one.burns))),
        )
        yield Headline(_badge(one), text=one.objective)
        yield Facts(entries)
    yield SOURCE


def _budget(left: float | None) -> str:
    if left is None:
        return "-"
    return f"{left * 100:.1f} % left" if left >= 0 else f"spent {1 - left:.1f} times"


def _badge(standing: StandingRecord) -> Badge:
    return Badge(standing.state.upper(), STATES.get(standing.state, Status.INCONCLUSIVE))


def _burn(burn: BurnRecord) -> str:
    long, short = ("-" if rate is None else f"{rate:.2f}" for rate in (burn.long_rate, burn.short_rate))
    windows = f"{format_duration_ns(burn.long_ns)} and {format_duration_ns(burn.short_ns)}"
    return f"{long} and {short} over {windows} (alert above {burn.threshold:g})"


def _incidents(summary: SummaryRecord, folder: Path, most: int | None) -> Iterator[Block]:
    shown = summary.incidents[:most]
    if not summary.incidents and not summary.earlier_incidents:
        yield "None: at no time did three arrivals in a row fail without a success."
    rows = [_incident(one, folder) for one in shown]
    heads = "begin, UTC | #failed:9 | #first success:14 | #stable:10 | workload | run"
    yield from table("Times are from the begin; stable: nothing fails for 10 s from there on.", heads, rows)
    more = len(summary.incidents) - len(shown) + summary.earlier_incidents
    if more:
        yield f"{counted(more, 'earlier incident')} not listed here."


def _incident(one: IncidentRecord, folder: Path) -> tuple[Cell, ...]:
    kept = next((run for run in one.runs if (folder / RUNS / run).is_dir()), None)
    unwatched = f" ({format_duration_ns(one.unwatched_ns)} of it unwatched)" if one.unwatched_ns else ""
    return (
        _time(one.begin_ns),
        spaced(one.failed),
        _since(one.begin_ns, one.first_success_ns),
        _since(one.begin_ns, one.stable_ns) if one.is_over else "not yet",
        f"{one.workload}{unwatched}",
        "-" if kept is None else Link("run", folder / RUNS / kept),
    )


def _since(begin_ns: int, at_ns: int | None) -> str:
    return "-" if at_ns is None else format_duration_ns(at_ns - begin_ns)


def _recent(recent: list[RecentRecord]) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = [
        (
            one.workload,
            spaced(one.planned),
            "-" if not one.planned else format_ratio(one.ok / one.planned),
            *("-" if ns is None else format_duration_ns(ns) for ns in (one.p50_ns, one.p95_ns, one.p99_ns)),
        )
        for one in recent
    ]
    return table("", "workload | #arrivals:9 | #availability:12 | #P50:9 | #P95:9 | #P99:9", rows)


def _days(summary: SummaryRecord, most: int | None) -> tuple[Block, ...]:
    rows: list[tuple[Cell, ...]] = [
        (
            one.day,
            spaced(one.planned),
            "-" if one.availability is None else format_ratio(one.availability),
            format_duration_ns(one.watched_ns),
        )
        for one in summary.days[:most]
    ]
    return table("", "day, UTC | #arrivals:10 | #availability:12 | #watched:9", rows)


def _gaps(summary: SummaryRecord, most: int | None) -> Iterator[Block]:
    whole_ns = summary.watched_ns + summary.unwatched_ns
    share = format_ratio(summary.unwatched_ns / whole_ns) if whole_ns else "0 %"
    yield (
        f"{format_duration_ns(summary.unwatched_ns)} in all, {share} of the time, between segments too; "
        "none of it counts as success or failure."
    )
    entries = tuple(
        (f"{_time(gap.from_ns)} UTC, {format_duration_ns(gap.until_ns - gap.from_ns)}: {gap.because}",)
        for gap in summary.gaps[:most]
    )
    if entries:
        yield Bullets(entries)


def _time(wall_ns: int) -> str:
    return utc_text(wall_ns)[:19].replace("T", " ")
