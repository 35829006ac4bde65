"""report.html: one run as a page that a team lead opens, keeps and prints. One file, no network.

Here: the whole page, and its head with the verdict, the key figures and the rules.
"""

from collections.abc import Sequence

from bench.core import units
from bench.core.units import spaced
from bench.explain.explanation import explain
from bench.judge.faults.times import is_clean
from bench.judge.observation import tally_of
from bench.judge.verdict import Check, Status, Verdict
from bench.report import explanation
from bench.report.context import rare_stalls
from bench.report.formats import JudgedRun, Reader
from bench.report.html import arrivals, faults, latency, resources, run_details
from bench.report.html.page import (
    Child,
    Html,
    advised,
    badge,
    data_block,
    element,
    page,
    resource,
    section,
    table,
)
from bench.report.html.plots import Book, events_table, marks, used_signs
from bench.report.html.slices import Slices, spreads
from bench.report.render import html
from bench.report.render.html import Card
from bench.report.text import headline, headroom_text
from bench.results.reader import Run
from bench.scenario.rules.grammar import RuleText

SHOWN_REASONS = 3
SHOWN_FINDINGS = 60
BANNERS = {
    Status.INVALID: "This run says nothing about the system: what was measured is not the system alone. "
    "Do not decide by its figures.",
    Status.INCONCLUSIVE: "This run cannot tell whether every rule holds. What is missing stands below.",
}


def head(run: Run, verdict: Verdict) -> list[Html]:
    """The title with the verdict, what the run is for, and banners where it must not be taken at its word."""
    title = element("h1", badge(verdict.status), " ", element("span", f"{run.scenario}: {headline(verdict)}"))
    purpose = run.record.scenario.purpose
    return [title, element("p", purpose, class_="purpose"), _when(run), *_banners(run, verdict)]


def _when(run: Run) -> Html:
    record = run.record
    started = record.started.utc
    parts = [
        f"Run {run.name}",
        f"started {started[:19].replace('T', ' ')} UTC" if started else "",
        f"{units.format_duration_ns(record.duration_ns)} long" if record.duration_ns else "",
        f"stack {record.stack.kind}" if record.stack.kind else "",
    ]
    return element("p", " · ".join(part for part in parts if part), class_="soft small")


def _banners(run: Run, verdict: Verdict) -> list[Html]:
    banners = []
    if not run.is_complete:
        text = "This run was interrupted: the figures are of what had been measured by then."
        banners.append(_banner(Status.INCONCLUSIVE, "Interrupted", text))
    if verdict.status in BANNERS:
        why = [check.because for check in verdict.checks if check.status is verdict.status]
        name = verdict.status.name.capitalize()
        banners.append(_banner(verdict.status, name, BANNERS[verdict.status], why))
    if run.record.plan.quick:
        text = "Its phases are shortened: good to see that it works, not to decide by."
        banners.append(_banner(Status.WARN, "Quick run", text))
    return banners


def _banner(status: Status, name: str, text: str, why: Sequence[str] = ()) -> Html:
    body = element("p", element("strong", f"{name}. "), text)
    shown = [element("li", one) for one in why[:SHOWN_REASONS]]
    if len(why) > SHOWN_REASONS:
        shown.append(element("li", f"and {len(why) - SHOWN_REASONS} more, below"))
    reasons = element("ul", shown) if shown else None
    return element("div", body, reasons, class_=f"banner {status.name.lower()}", role="note")


def rules(run: Run, verdict: Verdict) -> Html:
    """Each rule: what was observed, its limit and warning level, what is left, and why it came out so."""
    judged = [check for check in verdict.checks if check.is_rule]
    if not judged:
        return section("Rules", element("p", "The scenario has no rules: there is nothing to judge."))
    columns = "rule | status | #observed | #limit | #warn | #headroom | because"
    rows = [_rule(check) for check in judged]
    caption = (
        "Every rule of the scenario, in its order. Below a value: its bounds, and how many samples. "
        "Headroom: the share of the limit that is left"
    )
    stalls = rare_stalls(run)
    note = element("p", f"Stalls: {stalls}.", class_="soft small") if stalls else None
    return section("Rules", table(columns, rows, caption, narrow="cards"), note)


def _rule(check: Check) -> list[Child]:
    written = RuleText.of(check.rule)
    operator, unit = written.op, check.unit or "count"
    known = check.observed is not None
    observed: list[Child] = [
        units.format_quantity(check.observed, unit) if check.observed is not None else "-"
    ]
    if check.interval is not None and check.interval[0] < check.interval[1]:
        low, high = (units.format_quantity(bound, unit) for bound in check.interval)
        observed.append(element("div", f"{low} to {high}", class_="soft small"))
    if check.samples is not None:
        observed.append(element("div", f"n = {spaced(check.samples)}", class_="soft small"))
    return [
        element("code", written.metric),
        badge(check.status),
        observed if known or len(observed) > 1 else None,
        written.bound,
        written.warn or None,
        headroom_text(check, operator),
        advised(check.because, check.advice, "advice"),
    ]


def findings(verdict: Verdict) -> Html:
    """What was found about the run as a whole: why it is invalid, or what leaves a doubt."""
    found = sorted((check for check in verdict.checks if not check.is_rule), key=lambda check: -check.status)
    rows = [
        [
            check.metric.removeprefix("validity.").replace("_", " "),
            badge(check.status),
            advised(check.because, check.advice),
        ]
        for check in found[:SHOWN_FINDINGS]
    ]
    more = f"; {len(found) - SHOWN_FINDINGS} more are in verdict.json" if len(found) > SHOWN_FINDINGS else ""
    caption = f"The worst first{more}"
    return section("Findings about the run", table("finding | status | because", rows, caption))


def key_figures(run: Run, verdict: Verdict) -> Html:
    """A few large numbers: rules by status, arrivals, the slowest workload, the longest outage, lost data."""
    cards = [_rule_card(verdict), _arrival_card(run), *_latency_cards(run), *_fault_cards(run)]
    return html.cards(card for card in cards if card)


def _rule_card(verdict: Verdict) -> Card | None:
    judged = [check.status for check in verdict.checks if check.is_rule]
    if not judged:
        return None
    good = sum(status in (Status.PASS, Status.WARN) for status in judged)
    rest = [f"{judged.count(status)} {status.name}" for status in reversed(Status) if status in judged]
    return ("Rules that hold", f"{good} of {len(judged)}", ", ".join(rest))


def _arrival_card(run: Run) -> Card | None:
    tally = tally_of(run)
    if not tally.planned:
        return None
    ended = f"of {spaced(tally.planned)} planned arrivals; {tally.lost or 'none lost'}"
    return ("Answered OK", units.format_ratio(tally.ok / tally.planned), ended)


def _latency_cards(run: Run) -> list[Card]:
    from bench.core import histogram

    found = []
    for entry in run.workloads:
        counts = run.histogram("response", entry.name)
        if counts.any():
            found.append((histogram.percentile_ns(counts, 99), entry.name, counts))
    if not found:
        return []
    p99_ns, name, counts = max(found, key=lambda one: one[0])
    p50, p95 = (units.format_duration_ns(histogram.percentile_ns(counts, percent)) for percent in (50, 95))
    which = f"{name}, the slowest of {len(found)} workloads" if len(found) > 1 else name
    return [("Response P99", units.format_duration_ns(p99_ns), f"P50 {p50}, P95 {p95}; {which}")]


def _fault_cards(run: Run) -> list[Card]:
    cards: list[Card] = []
    clean = [one for one in run.record.recoveries if is_clean(one)]
    hit = [one for one in clean if one.first_failure_ns is not None]
    if hit:
        worst = max(hit, key=lambda one: one.downtime_ns)
        note = f"{worst.workload}, fault {worst.fault}; {spaced(worst.failed)} arrivals failed"
        cards.append(("Longest downtime", units.format_duration_ns(worst.downtime_ns), note))
    counted = [one for one in run.record.integrity if one.lost is not None]
    if counted:
        lost = sum(one.lost or 0 for one in counted)
        acknowledged = sum(one.acknowledged or 0 for one in counted)
        cards.append(("Acknowledged data lost", spaced(lost), f"of {spaced(acknowledged)} checked"))
    return cards


LARGEST_BYTES = 950_000
SHARES = (1.0, 0.5, 0.2)
"""Of the points and rows below: what a page that became too large is made with again."""
MOST_POINTS = 3000
"""Slices of all workloads together, as each has its own lines."""
MOST_SLICES, FEWEST_SLICES = 240, 24
MOST_ROWS = 200
"""Of the tables beside the plots, over all workloads."""
KEYS = (
    "Drag over a plot to look closer, double click to see all of it again. With the keyboard: Tab to a plot, "
    "arrow keys to read its values, Escape to see all of it."
)


def render(run: Run, verdict: Verdict) -> str:
    """The whole page, below 1 MB. Raises ResultError for a damaged run."""
    text = ""
    for share in SHARES:
        text = _rendered(run, verdict, share)
        if len(text.encode()) < LARGEST_BYTES:
            break
    return text


def render_runs(runs: Sequence[JudgedRun], _: Reader) -> str:
    """The page of the one run there is. Raises ResultError for a damaged run."""
    ((run, verdict),) = runs
    return render(run, verdict)


def _rendered(run: Run, verdict: Verdict, share: float) -> str:
    rows, count = run.series(), max(1, len(run.workloads)) / share
    fine = Slices(rows, max(FEWEST_SLICES, min(MOST_SLICES, int(MOST_POINTS / count))))
    coarse = Slices(rows, max(3, min(30, int(MOST_ROWS / count))))
    drawn, tabled = spreads(run, (fine, coarse))
    book = Book()
    over_time = latency.over_time(run, verdict, book, (fine, drawn), (coarse, tabled))
    parts: list[Html] = [
        findings(verdict),
        rules(run, verdict),
        *html.sections(explanation.page_sections(explain(run)), run.path),
        faults.recovery(run),
        faults.outages(run),
        faults.integrity(run),
        latency.latency(latency.latency_table(run), Html(_key(run, fine) + over_time)),
        latency.distributions(run, book),
        arrivals.arrivals(run, verdict, book, fine, coarse),
        resources.resource_use(run, book, fine),
        run_details.generator(run),
        run_details.anomalies(run),
        run_details.workers(run),
        run_details.environment(run),
        run_details.again(run),
    ]
    body: list[Child] = [
        element("a", "To the verdict", href="#main", class_="skip"),
        element("p", NO_SCRIPT, class_="banner neutral", id="without-script"),
        element("main", head(run, verdict), key_figures(run, verdict), parts, id="main"),
        data_block("plots", {**book.to_json(), **marks(run)}),
    ]
    scripts = [resource("vendor/uPlot.iife.min.js"), resource("report.js")]
    styles = [resource("vendor/uPlot.min.css"), resource("report.css")]
    title = f"{verdict.status.name} {run.scenario} {run.name[:16]}"
    return page(title, body, scripts, styles)


NO_SCRIPT = (
    "The plots of this page need its script, which does not run here. Every number is in the tables, "
    "also in those that open below each title."
)


def _key(run: Run, slices: Slices) -> str:
    """What the marks over the plots mean; empty where nothing is drawn over time."""
    if not slices.all:
        return element(
            "p", "This run holds no windows of time: there is nothing to draw over time.", class_="soft"
        )
    signs = used_signs(run)
    marked = f" Above each plot: {', '.join(f'{sign} {word}' for sign, word in signs)}." if signs else ""
    shades = " Shaded: not measured." if any(not phase.measured for phase in run.record.phases) else ""
    down = " Striped: without answers; tinted: answered, not yet as before." if run.record.recoveries else ""
    text = element("p", f"{KEYS}{shades}{down}{marked}", class_="soft small screen-too")
    return text + (events_table(run) or "")
