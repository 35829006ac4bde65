"""Every figure of a run that is compared, by the metric's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.fault_figures import fault_figures
from bench.compare.load_figures import load_figures
from bench.compare.memory_figures import memory_figures

if TYPE_CHECKING:
    from bench.compare.estimate import Kind, Reading
    from bench.results.reader import Run


def figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """In the order of a report. Raises ResultError for a damaged run."""
    return {**load_figures(run), **memory_figures(run), **fault_figures(run)}
