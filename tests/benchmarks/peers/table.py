"""The comparison as text of at most 80 columns, and as Markdown."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tests.benchmarks.peers.rounds import OURS
from tests.benchmarks.peers.verdict import status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.peers.comparison import Comparison
    from tests.benchmarks.peers.rounds import Summary
    from tests.benchmarks.peers.verdict import Finding

COLUMNS = 80
NAME_WIDTH = 17
ROOMS = (9, 8, 8, 8, 7, 8, 7, 8)
HEADS = ("median", "min", "max", "mean", "P99", "Little", "cores", "ours is")
ABOVE = f"{'':{NAME_WIDTH}}{'answered per second':>25}{'latency, ms':>15}"
QUIET_CORES = 0.2
"""Below this other programs are not worth a word."""

LITTLE = (
    "Little: throughput x mean latency / connections; 1 when no time is hidden. Latency is each tool's own "
    "word. Cores: processor time of the tool / time. All figures are medians over the rounds, ratios are "
    "taken within each round."
)


def text_of(comparison: Comparison, findings: Sequence[Finding], machine: str) -> str:
    """Title, table, footnotes, verdict."""
    lines = [*_heading(comparison, machine), "", ABOVE, _row("", HEADS)]
    summaries = comparison.summaries()
    for name in comparison.names:
        if name in summaries:
            lines.append(_row(name, cells_of(summaries[name])))
        else:
            lines.append(f"{name:<{NAME_WIDTH}}{comparison.absent[name].partition(':')[0]}")
    lines += ["", *textwrap.wrap(LITTLE, COLUMNS)]
    lines += textwrap.wrap(_disturbance(comparison), COLUMNS)
    lines += ["", *_verdict(comparison, findings)]
    return "\n".join(lines) + "\n"


def markdown_of(comparison: Comparison, findings: Sequence[Finding], machine: str) -> str:
    """The same for a document."""
    heads = ("tool", "median /s", "min /s", "max /s", "mean ms", "P99 ms", "Little", "cores", "ours is")
    lines = ["# " + comparison.title, "", *_heading(comparison, machine)[1:], ""]
    lines += [_cells(heads), _cells(["---", *["---:"] * len(HEADS)])]
    summaries = comparison.summaries()
    for name in comparison.names:
        if name in summaries:
            lines.append(_cells([name, *cells_of(summaries[name])]))
        else:
            lines.append(_cells([name, comparison.absent[name].partition(":")[0], *[""] * (len(HEADS) - 1)]))
    lines += ["", f"{LITTLE} {_disturbance(comparison)}".rstrip(), "", f"## {status_of(findings).name}", ""]
    lines += [f"- {finding.status.name}: {finding.rule} ({finding.because})" for finding in findings]
    return "\n".join(lines) + "\n"


def cells_of(summary: Summary) -> list[str]:
    """The eight figures of a contestant, in the order of HEADS."""
    rates = (summary.throughput_per_s, summary.lowest_per_s, summary.highest_per_s)
    times = (summary.mean_ns, summary.p99_ns)
    ratio = "" if summary.name == OURS or summary.ratio is None else f"{summary.ratio:.2f} x"
    little = "" if summary.little is None else f"{summary.little:.3f}"
    last = (little, f"{summary.cores:.2f}", ratio)
    return [*(f"{rate:.0f}" for rate in rates), *map(_milliseconds, times), *last]


def _disturbance(comparison: Comparison) -> str:
    """A warning where the machine had other work; ours and a server need a core each."""
    busiest = max((one.others_cores for one in comparison.rounds), default=0.0)
    if busiest < QUIET_CORES:
        return ""
    return (
        f"Other programs kept up to {busiest:.1f} cores busy before a round: these figures are not of a "
        "quiet machine, and a tool that shares its core with them looks slower than it is."
    )


def _milliseconds(time_ns: float | None) -> str:
    """Three decimals while they fit: 0.232, 12.10, 1030. Nothing for what the tool does not tell."""
    if time_ns is None:
        return ""
    value = time_ns / 1e6
    decimals = 3 if value < 10 else 2 if value < 100 else 0
    return f"{value:.{decimals}f}"


def _heading(comparison: Comparison, machine: str) -> list[str]:
    done = len(comparison.rounds)
    rounds = f"{done} round{'' if done == 1 else 's'} of about {comparison.seconds:g} s each"
    if done < comparison.planned_rounds:
        rounds += f" ({comparison.planned_rounds} were planned)"
    circumstances = f"{rounds}, seed {comparison.seed}; {machine}"
    return [*textwrap.wrap(comparison.title, COLUMNS), *textwrap.wrap(circumstances, COLUMNS)]


def _verdict(comparison: Comparison, findings: Sequence[Finding]) -> list[str]:
    status = "INTERRUPTED" if not comparison.is_complete else status_of(findings).name
    lines = [status]
    for finding in findings:
        found = f"{finding.status.name:<12}  {finding.rule}: {finding.because}"
        lines += textwrap.wrap(found, COLUMNS, initial_indent="  ", subsequent_indent=" " * 16)
    if comparison.left_out:
        left_out = f"left out by --only: {', '.join(comparison.left_out)}"
        lines += textwrap.wrap(left_out, COLUMNS, initial_indent="  ")
    return lines


def _row(name: str, cells: Sequence[str]) -> str:
    placed = "".join(f"{cell:>{room}}" for cell, room in zip(cells, ROOMS, strict=True))
    return f"{name:<{NAME_WIDTH}}{placed}".rstrip()


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
