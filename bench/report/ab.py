"""A comparison of two variants as text, Markdown, JSON, and a comment for a pull request."""

import math

from bench.ab.findings import PairedFigure
from bench.ab.record import AbRecord, FigureRecord
from bench.compare.difference import Finding
from bench.core import units
from bench.core.units import counted
from bench.report.comparison import SEPARATE, factor
from bench.report.document import Block, Bullets, Cell, Code, Facts, Folded, Section, Strong, Table, columns
from bench.report.render import markdown, text
from bench.results.layout import as_json

NARROW = columns("metric:19 | #a:9 | #b:9 | #ratio:7 | #95 % interval:14 | #told:7 | finding")
WIDE = columns("metric | #a | #b | #ratio | #95 % interval | #p | #smallest told | finding")
TOLD = '"told" is the smallest change that would be found nine times in ten.'
MARK = "<!-- holdfast ab {scenario} -->"
"""First line of a comment: by it a workflow finds its own comment, to replace it."""


def summary_text(record: AbRecord, figures: list[PairedFigure]) -> str:
    """The whole in one sentence."""
    counts = {finding: sum(one.finding is finding for one in figures) for finding in Finding}
    if not figures:
        return "no pair could be compared"
    return (
        f"{counted(counts[Finding.REGRESSION], 'regression')}, "
        f"{counted(counts[Finding.IMPROVEMENT], 'improvement')}, "
        f"{counts[Finding.NO_DIFFERENCE]} without difference, "
        f"{counts[Finding.CANNOT_TELL]} that cannot be told, of {counted(len(figures), 'figure')} "
        f"in {counted(record.pairs, 'pair')}"
    )


def render_text(record: AbRecord, figures: list[PairedFigure]) -> str:
    """For a terminal of 80 columns."""
    rows = tuple(_narrow(one) for one in figures)
    table: tuple[Block, ...] = (Table("", NARROW, rows), TOLD) if rows else ()
    head = Section(record.scenario, (Facts((("a", record.a), ("b", record.b)), width=3),))
    notes = Section("", (Bullets(tuple((note,) for note in _notes(record, figures))),))
    regressions = tuple(
        ("REGRESSION", figure_text(one)) for one in figures if one.finding is Finding.REGRESSION
    )
    return text.render(
        [
            head,
            Section("", table),
            notes,
            Section("", (Facts(regressions, width=12), summary_text(record, figures))),
        ]
    )


def render_markdown(record: AbRecord, figures: list[PairedFigure]) -> str:
    """For a file or the summary of a workflow: everything."""
    return markdown.render([_head(record, figures), Section("", _details(record, figures))])


def render_comment(record: AbRecord, figures: list[PairedFigure]) -> str:
    """For one comment of a pull request: what changed, the rest folded away. Its first line names it."""
    body = markdown.render(
        [
            _head(record, figures),
            Section("", (Folded("All figures", _details(record, figures)),)),
        ]
    )
    return f"{MARK.format(scenario=record.scenario)}\n{body}"


def render_json(record: AbRecord) -> str:
    """The contract's keys."""
    figures = [FigureRecord.model_dump(one) for one in record.figures]
    return as_json({"scenario": record.scenario, "pairs": record.pairs, "figures": figures})


def figure_text(one: PairedFigure) -> str:
    """As in "cache.response.p95: 410 µs -> 512 µs (x1.25, 95 % interval 1.19..1.31)"."""
    if one.ratio is None:
        return f"{one.metric}: {one.because}"
    return (
        f"{one.metric}: {_value(one.a, one.unit)} -> {_value(one.b, one.unit)} "
        f"(x{factor(one.ratio)}, 95 % interval {_interval(one)})"
    )


def _head(record: AbRecord, figures: list[PairedFigure]) -> Section:
    changed = [one for one in figures if one.finding in (Finding.REGRESSION, Finding.IMPROVEMENT)]
    return Section(
        f"A/B of {record.scenario}",
        (
            f"{summary_text(record, figures)}.",
            Bullets((("a:", Code(record.a)), ("b:", Code(record.b)))),
            Bullets(tuple((_finding(one), figure_text(one)) for one in changed)),
        ),
    )


def _details(record: AbRecord, figures: list[PairedFigure]) -> tuple[Block, ...]:
    table: tuple[Block, ...] = (Table("", WIDE, tuple(_wide(one) for one in figures)),) if figures else ()
    return (*table, Bullets(tuple((note,) for note in _notes(record, figures))))


def _notes(record: AbRecord, figures: list[PairedFigure]) -> list[str]:
    """What else a reader must know."""
    least = units.format_ratio(record.threshold)
    floor = (
        f"smaller changes than {least}, or than two equal variants have shown here, are ignored"
        if record.floor
        else f"smaller changes than {least} are ignored; no A/A floor of this machine is known (--floor)"
    )
    reasons: dict[str, list[str]] = {}
    for one in figures:
        if one.finding is Finding.CANNOT_TELL and one.because not in ("", "spread"):
            reasons.setdefault(SEPARATE.get(one.because, one.because), []).append(one.metric)
    told = [
        f"{metrics[0] if len(metrics) == 1 else counted(len(metrics), 'figure')}: {because}"
        for because, metrics in reasons.items()
    ]
    return [floor, *record.notes, *(f"set aside: {one}" for one in record.set_aside), *told]


def _narrow(one: PairedFigure) -> tuple[Cell, ...]:
    told = "-" if one.smallest_told is None else _percent(one.smallest_told)
    return (
        one.metric,
        _value(one.a, one.unit),
        _value(one.b, one.unit),
        "-" if one.ratio is None else f"x{factor(one.ratio)}",
        _interval(one),
        told,
        _finding(one),
    )


def _wide(one: PairedFigure) -> tuple[Cell, ...]:
    metric, a, b, ratio, interval, told, finding = _narrow(one)
    return (metric, a, b, ratio, interval, "-" if one.p is None else f"{one.p:.2g}", told, finding)


def _finding(one: PairedFigure) -> Cell:
    return Strong(one.finding.value) if one.finding is Finding.REGRESSION else one.finding.value


def _value(value: float | None, unit: str) -> str:
    return "-" if value is None else units.format_quantity(value, unit)


def _interval(one: PairedFigure) -> str:
    if one.low is None or one.high is None:
        return "-"
    return f"{factor(one.low)}..{factor(one.high)}"


def _percent(share: float) -> str:
    if not math.isfinite(share) or share >= 10:
        return "> x10"
    return f"{share * 100:.0f} %" if share >= 0.0995 else f"{share * 100:.1f} %"
