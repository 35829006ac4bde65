"""All sections of an assessment in the order of reading; here: scorecard, health, what is missing, the
evidence.
"""

from bench.assess.assessment import Assessment, environments
from bench.assess.evidence import REPORT
from bench.assess.health import TargetHealth
from bench.assess.history import histories
from bench.assess.status import RequirementStatus, age, date, listed, share, status_of
from bench.core import units
from bench.core.units import counted
from bench.judge.verdict import Status
from bench.report.assess.sections import badge_of, capacity, compliance, named, resilience_section, thresholds
from bench.report.document import Block, Bullets, Cell, Folded, Link, Preformatted, Section, table
from bench.report.html.page import SHAPES as SIGN_OF

COMMAND = "bench run "
SCORE_RULE = (
    "A requirement is shown when a rule of its own, judged on the run that speaks for a scenario, holds "
    "with all its proofs, documents and facts. An area stands as its worst requirement. The score is the "
    "share of requirements shown, without weights; it decides nothing. What only should hold is a warning "
    "at most. One FAIL is NOT READY whatever the score; a requirement not shown is CANNOT TELL. Quick "
    "evidence counts, is marked, and gives READY WITH WARNINGS at most, as do warnings and whatever else "
    "is marked. Parts that a system need not have (reverse proxy, search, graph, second Postgres) count "
    "only where they were looked at."
)


def sections(found: Assessment) -> list[Section]:
    """Everything below the recommendation."""
    return [
        scorecard(found),
        health(found),
        compliance(found),
        thresholds(found),
        resilience_section(found),
        capacity(found),
        *history(found),
        missing(found),
        evidence(found),
    ]


def scorecard(found: Assessment) -> Section:
    """How the requirements of each area stand."""
    listed_areas = found.requirements.areas
    rows: list[tuple[Cell, ...]] = []
    for one in found.areas():
        statuses = [met.counts_as for met in one.mets]
        shown = sum(status.is_shown for status in statuses)
        counts = [f"{statuses.count(each)} {each.words}" for each in sorted(set(statuses), reverse=True)]
        number = f"{shown} of {len(statuses)}"
        row: tuple[Cell, ...] = (one.name, badge_of(one.status), number, ", ".join(counts))
        rows.append((*row, f"{one.area.weight:g}", one.area.owner or "-") if listed_areas else row)
    columns = "Area | Worst | #Shown | Requirements" + (" | #Weight | Owner" if listed_areas else "")
    weighted = (
        ()
        if found.weighted is None
        else (f"By the weights of the areas {share(found.weighted)} is shown; that decides nothing either.",)
    )
    return Section("Scorecard", (SCORE_RULE, *table("Requirements by area", columns, rows), *weighted))


def health(found: Assessment) -> Section:
    """State and uptime of each target."""
    rows: list[tuple[Cell, ...]] = [
        (
            one.name,
            badge_of(one.status),
            one.state,
            _uptime(one),
            one.version or "unknown",
            one.kind,
            one.address,
            "-" if one.latency_ns is None else units.format_duration_ns(one.latency_ns),
            one.seen if one.evidence is None else Link(one.seen, one.evidence.shown),
            one.detail,
        )
        for one in found.targets
    ]
    columns = "Target | Status | State | #Up for | Version | Kind | Address | #Answer | Seen | Detail"
    said = (
        "Targets were asked now; below them is what the runs have seen, with its date."
        if found.is_live
        else "No target was asked now: this is what the runs have seen, with its date. bench assess --health "
        "asks the stack that is up and the services that the environment names."
    )
    looked = [one for one in found.mets if one.requirement.kind is not None]
    needs: list[tuple[Cell, ...]] = [
        (one.requirement.demand, badge_of(one.counts_as), one.because, one.todo or "") for one in looked
    ]
    return Section(
        "Infrastructure health and uptime",
        (
            said,
            *table("Targets", columns, rows),
            *table("What must be up", "Requirement | Status | Why | What to do", needs),
        ),
    )


def _uptime(one: TargetHealth) -> str:
    if one.state == "down":
        return "-"
    if one.uptime_s is None:
        return "unknown"
    return ("at least " if one.evidence is not None else "") + age(one.uptime_s * units.NS["s"])


def history(found: Assessment) -> list[Section]:
    """How requirements stood over the runs; nothing where each has been shown by one run only."""
    rows: list[tuple[Cell, ...]] = []
    for one in histories(found.mets, found.found):
        last = one.stands[-1]
        way = " ".join(SIGN_OF.get(stand.status.name, "○") for stand in one.stands)
        before = [stand for stand in one.stands if stand.status is not last.status]
        earlier = f"{before[-1].status.words}, last by {before[-1].run}" if before else "never another"
        rows.append((named(found, one.met), way, badge_of(last.status), date(one.since_ns), earlier))
    if not rows:
        return []
    signs = ", ".join(f"{SIGN_OF.get(each.name, '○')} {each.words}" for each in RequirementStatus)
    said = (
        "From left to right how each stood after a run of one of its scenarios, the newest last. Each is "
        f"judged by the limits of today; what documents and targets showed earlier is not kept. {signs}."
    )
    columns = "Requirement | Over the runs | Now | Since | Before that"
    return [Section("History", (said, *table("Requirements over the runs", columns, rows)))]


def missing(found: Assessment) -> Section:
    """What is not there, not whole, too old, or not what it should be."""
    blocks: list[Block] = []
    rows: list[tuple[Cell, ...]] = [
        (
            badge_of(one.status),
            named(found, one),
            one.because,
            one.todo or "",
        )
        for one in found.mets
        if one.status.is_open
    ]
    blocks += table("Requirements that are not shown", "Status | Requirement | Why | What to do", rows)
    marked: list[tuple[Cell, ...]] = [
        (Link(name, one.shown), mark.word, mark.text)
        for name, one in found.body.by_scenario.items()
        for mark in one.marks
        if mark.word != "quick"
    ]
    blocks += table("Evidence with something to know", "Scenario | Mark | What", marked)
    entries: list[tuple[Cell, ...]] = []
    if quick := [name for name, one in found.body.by_scenario.items() if one.is_quick]:
        entries.append((f"Quick evidence ({counted(len(quick), 'run')}): {listed(quick)}.",))
    entries += [(f"{_sentence(silence.because)}.",) for silence in found.body.silent.values()]
    entries += [
        (f"{name}, {check.rule}: {check.status.name}. {check.because}.", Link("the run", evidence.shown))
        for name, evidence in found.body.by_scenario.items()
        for check in evidence.verdict.checks
        if check.status in (Status.INVALID, Status.INCONCLUSIVE)
    ]
    entries += [(f"Damaged, says nothing: {one.reason}",) for one in found.body.damaged]
    entries += [
        (f"Not finished: {name} goes on, or its harness was killed and the next bench run keeps it.",)
        for name in found.found.unfinished
    ]
    entries += [(f"{text}.",) for text in found.body.remarks]
    entries += [(f"{text}.",) for text in found.files.problems]
    kinds = environments(found.body)
    if len(kinds) > 1:
        entries += [(f"Environment {words}: {listed(names)}.",) for words, names in kinds.items()]
    if entries:
        blocks.append(Bullets(tuple(entries)))
    if not blocks:
        blocks.append("Nothing is missing, stale or damaged.")
    if found.to_run:
        blocks += ["To show what is not shown, or shown by marked evidence only:", *_to_do(found.to_run)]
    return Section("Missing, stale, interrupted, invalid", tuple(blocks))


def _to_do(texts: tuple[str, ...]) -> list[Block]:
    commands = tuple(text for text in texts if text.startswith(COMMAND))
    others = tuple((text,) for text in texts if not text.startswith(COMMAND))
    folded = tuple(line for text in commands for line in folded_command(text))
    return [*([Preformatted(folded)] if folded else []), *([Bullets(others)] if others else [])]


def folded_command(text: str, width: int = 80) -> list[str]:
    """A long command on several lines that a shell reads as one."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append(f"   {word}")
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def evidence(found: Assessment) -> Section:
    """The run that speaks for each scenario."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            badge_of(status_of(one.verdict.status)),
            one.form,
            age(one.age_ns),
            date(one.started_ns),
            Link(one.run.name, one.run.path),
            Link(REPORT, one.shown) if one.shown.name == REPORT else "-",
            ", ".join(mark.word for mark in one.marks) or "none",
        )
        for name, one in found.body.by_scenario.items()
    ]
    columns = "Scenario | Verdict | Form | #Age | Started | Run folder | Report | Marks"
    oldest = age(found.max_age_ns)
    said = (
        f"For each scenario speaks the newest complete run in standard form that is not older than {oldest}, "
        "else the newest quick one; a newer quick run takes its place only when it fails. Each was judged "
        "anew, from its folder."
    )
    return Section(
        "Evidence", (said, *table("The run that speaks for each scenario", columns, rows), *_facts(found))
    )


def _facts(found: Assessment) -> tuple[Block, ...]:
    kinds = environments(found.body)
    rows: list[tuple[Cell, ...]] = [(words, listed(names)) for words, names in kinds.items()]
    return (
        (Folded("Where the runs were made", table("Environments", "Environment | Scenarios", rows)),)
        if rows
        else ()
    )
