"""Reports for a browser: pages of one file each that need no network and no server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict
    from bench.results.reader import Run


def _say(problem: str) -> None:
    sys.stderr.write(f"bench: {problem}\n")


def save(run: Run, verdict: Verdict, report: Callable[[str], None] = _say) -> Path | None:
    """Write report.html into the run's folder, whole or not at all; return its path.

    A report that fails never fails the run: `report` is given the reason, and None is returned.
    """
    try:
        from bench.report.html.run_page import render
        from bench.results import layout

        path = run.path / layout.REPORT
        layout.write_whole(path, render(run, verdict))
    except Exception as failure:  # noqa: BLE001 - whatever it is, the run and its verdict stand
        reason = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        report(f"{run.path}: report.html could not be written: {reason}")
        return None
    return path
