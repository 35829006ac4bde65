"""Changes over nights as text, Markdown and JSON."""

from collections.abc import Sequence

from bench.core import units
from bench.core.units import counted
from bench.report.comparison import factor
from bench.report.document import Block, Bullets, Cell, Section, Strong, Table, columns
from bench.report.render import markdown, text
from bench.results.layout import as_json
from bench.trend.series import CONFIRMED, LEAST_EFFECT, Change

NARROW = columns("since | #before:10 | #after:9 | #ratio:7 | #95 % interval:14 | ")
LEFT_OUT_SHOWN = 3
CONFIRM = (
    "A candidate is what the history shows; the machine may have changed, too. Confirm it with both systems "
    "on one machine: bench ab SCENARIO --a ... --b ..."
)


def summary_text(changes: Sequence[Change], nights: int, figures: int) -> str:
    """The whole in one sentence."""
    confirmed = sum(change.state == CONFIRMED for change in changes)
    worse = sum(change.is_worse for change in changes)
    found = f"{counted(len(changes), 'change')} ({worse} for the worse, {confirmed} confirmed)"
    least = units.format_ratio(LEAST_EFFECT)
    return f"{found} of at least {least}, in {counted(figures, 'figure')} of {counted(nights, 'run')}"


def change_text(change: Change) -> str:
    """As in "cache.response.p95: 0.41 ms -> 0.49 ms (x1.20, 95 % interval 1.15..1.25)"."""
    before, after = (
        units.format_quantity(value, change.kind.unit) for value in (change.before, change.after)
    )
    interval = f"95 % interval {factor(change.low)}..{factor(change.high)}"
    return f"{change.metric}: {before} -> {after} (x{factor(change.ratio)}, {interval})"


def render_text(changes: Sequence[Change], nights: int, figures: int, left_out: Sequence[str]) -> str:
    """For a terminal of 80 columns: a table for each figure that changed."""
    sections = []
    for name in dict.fromkeys((change.scenario, change.metric) for change in changes):
        rows = tuple(_row(one) for one in changes if (one.scenario, one.metric) == name)
        sections.append(Section(" ".join(name), (Table("", NARROW, rows),)))
    last: list[Block] = [Bullets(_left_out(left_out))]
    if any(change.state != CONFIRMED for change in changes):
        last.append(CONFIRM)
    return text.render(
        [*sections, Section("", tuple(last)), Section("", (summary_text(changes, nights, figures),))]
    )


def render_markdown(changes: Sequence[Change], nights: int, figures: int, left_out: Sequence[str]) -> str:
    """For the summary of a workflow."""
    heads = columns("scenario | metric | since | #before | #after | #ratio | #95 % interval | state")
    rows = tuple((one.scenario, one.metric, *_cells(one), _state(one)) for one in changes)
    table = (Table("", heads, rows),) if rows else ()
    blocks = (f"{summary_text(changes, nights, figures)}.", *table, Bullets(_left_out(left_out)))
    return markdown.render([Section("Changes over nights", blocks)])


def render_json(changes: Sequence[Change]) -> str:
    """The contract: a list, one object for each change."""
    return as_json(
        [
            {
                "scenario": change.scenario,
                "metric": change.metric,
                "run": change.run,
                "before": change.before,
                "after": change.after,
                "ratio": change.ratio,
                "interval": [change.low, change.high],
                "state": change.state,
            }
            for change in changes
        ]
    )


def _left_out(left_out: Sequence[str]) -> tuple[tuple[Cell, ...], ...]:
    more = len(left_out) - LEFT_OUT_SHOWN
    shown = [f"left out: {because}" for because in left_out[-LEFT_OUT_SHOWN:]]
    return tuple((line,) for line in [*shown, *([f"left out: {more} more"] if more > 0 else [])])


def _cells(change: Change) -> tuple[Cell, ...]:
    before, after = (
        units.format_quantity(value, change.kind.unit) for value in (change.before, change.after)
    )
    interval = f"{factor(change.low)}..{factor(change.high)}"
    return (change.run.partition("-")[0], before, after, f"x{factor(change.ratio)}", interval)


def _row(change: Change) -> tuple[Cell, ...]:
    return (*_cells(change), _state(change))


def _state(change: Change) -> Cell:
    word = f"{change.state}, {'worse' if change.is_worse else 'better'}"
    return Strong(word) if change.state == CONFIRMED and change.is_worse else word
