"""`bench run --junit FILE --markdown FILE`: what a CI system is told about all scenarios of one command."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.judge.verdict import Verdict


class CiReports(NamedTuple):
    """The files that were asked for; None for one that was not."""

    junit: Path | None
    markdown: Path | None


@contextmanager
def ci_reports(asked: CiReports, out: Path, verdicts: list[Verdict]) -> Iterator[None]:
    """Write the reports about `verdicts`, whose runs are in `out`, when the block ends, however it ends.

    Raises UsageError at once for a file that could not be written, ResultError when it could not after all.
    """
    for path in (asked.junit, asked.markdown):
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: expected its folder to be there, found none; make it first")
    try:
        yield
    finally:
        _write(asked, out, verdicts)


def _write(asked: CiReports, out: Path, verdicts: list[Verdict]) -> None:
    if asked == (None, None):
        return
    from bench.cli.report_command import Judged, junit_of, markdown_of, write_report
    from bench.results.reader import Run

    judged = [Judged(Run.load(out / verdict.run), verdict) for verdict in verdicts]
    forms: list[tuple[Path | None, Callable[[list[Judged]], str]]] = [
        (asked.junit, junit_of),
        (asked.markdown, markdown_of),
    ]
    for path, form in forms:
        if path is not None:
            write_report(path, form(judged))
