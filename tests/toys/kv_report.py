"""A report format: one line for each run, `scenario status rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.formats import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.formats import JudgedRun, Reader

FORMAT = Format(suffix=".lines", render_runs=f"{__name__}:lines")


def lines(runs: Sequence[JudgedRun], reader: Reader) -> str:
    """The report."""
    return "".join(
        f"{one.run.scenario} {one.verdict.status.name} {len(one.run.rules)} rules\n" for one in runs
    )
