"""What made the tail, as pieces of a report and as JSON."""

from pydantic import JsonValue

from bench.core.units import spaced
from bench.explain import wording
from bench.explain.explanation import Cause, Explanation
from bench.report.document import Bullets, Finding, Findings, Headline, Section, Table, columns

FORMAT = 1
CAUSES = columns("cause:42 | #share:10 | #chance:10 | #windows:12")
TITLE = "What made the tail"


def sections(found: Explanation) -> list[Section]:
    """The whole explanation, for a terminal."""
    return [
        Section("", (Headline(None, found.scenario, _outcome(found)), wording.paragraph(found))),
        *_evidence(found),
    ]


def page_sections(found: Explanation) -> list[Section]:
    """The same as one part of a run's page; none where there is no tail to explain."""
    if not found.has_tail:
        return []
    blocks = (block for part in _evidence(found, "The first explains most") for block in part.blocks)
    return [Section(TITLE, (wording.paragraph(found), *blocks))]


def data(found: Explanation) -> dict[str, JsonValue]:
    """For programs."""
    return {
        "format": FORMAT,
        "run": found.run,
        "scenario": found.scenario,
        "limits": [
            {"workload": limit.workload, "limit_ns": round(limit.ns), "source": limit.source}
            for limit in found.limits
        ],
        "arrivals": found.arrivals,
        "beyond": found.beyond,
        "windows": found.windows,
        "window_ns": found.window_ns,
        "has_tail": found.has_tail,
        "causes": [_cause_data(cause) for cause in found.causes],
        "possible": [_cause_data(cause) for cause in found.possible],
        "unexplained": round(found.unexplained, 4) if found.has_tail else None,
        "left_out": list(found.left_out),
        "text": wording.paragraph(found),
    }


def _cause_data(cause: Cause) -> dict[str, JsonValue]:
    return {
        "kind": cause.kind.value,
        "subject": cause.subject,
        "text": wording.sentence(cause),
        "share": round(cause.share, 4),
        "p": None if cause.p is None else round(cause.p, 4),
        "windows": cause.windows,
        "times": cause.times,
        "longest_ns": cause.longest_ns,
        "advice": wording.advice(cause),
    }


def _outcome(found: Explanation) -> str:
    if not found.has_tail:
        return "no tail to explain"
    if not found.causes:
        return "a tail that nothing explains"
    first = found.causes[0]
    return f"{wording.NAMES[first.kind]}, {wording.share(first)} of the tail"


def _evidence(found: Explanation, caption: str = "") -> list[Section]:
    parts = []
    if found.causes:
        parts.append(
            Section("", (Table(caption, CAUSES, tuple(map(_row, found.causes))), wording.basis(found)))
        )
        advised = [Finding(_name(cause), advice=wording.advice(cause)) for cause in found.causes]
        parts.append(Section("", (Findings(tuple(advised)),)))
    if found.has_tail and found.possible:
        table = Table(
            caption and "What fits, but may be a coincidence",
            columns("possible, or coincidence:42 | #share:10 | #chance:10 | #windows:12"),
            tuple(map(_row, found.possible)),
        )
        parts.append(Section("", (table,)))
    if found.left_out:
        lines = tuple((line,) for line in ("Not looked at:", *found.left_out))
        parts.append(Section("", (Bullets(lines),)))
    return parts


def _name(cause: Cause) -> str:
    return f"{wording.NAMES[cause.kind]}: {cause.subject}"


def _row(cause: Cause) -> tuple[str, ...]:
    return (_name(cause), wording.share(cause), wording.chance(cause), spaced(cause.windows))
