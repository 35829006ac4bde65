"""Stretches without any success, and whose they were, with or without faults of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report import outages as told
from bench.report.html.page import Html, numbers, section, table, words

if TYPE_CHECKING:
    from bench.results.reader import Run


def outages(run: Run) -> Html:
    """The section; empty for a run without any."""
    found = told.found(run)
    if not found:
        return Html()
    rows = [[one["workload"], *told.cells(one), told.whose(run, one)] for one in found[: told.SHOWN]]
    columns = [*words("workload"), *numbers(*told.HEADS), *words("whose")]
    return section("Without any success", table(columns, rows, told.note(run)))
