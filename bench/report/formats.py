"""The formats of `bench report`: one entry for each, whose functions are imported on use.

Every format renders judged runs; one with `render_folder` renders all runs of a folder, too, whatever
state they are in. Plug-ins add formats of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.core.plugins import Table
from bench.judge.verdict import Verdict
from bench.registry import load
from bench.results.reader import Run

if TYPE_CHECKING:
    from bench.report.index.entries import RunEntry


class JudgedRun(NamedTuple):
    """A run and its verdict."""

    run: Run
    verdict: Verdict


@dataclass(frozen=True)
class RunFolder:
    """A folder of runs, the newest first."""

    name: str
    entries: "Sequence[RunEntry]"


@dataclass(frozen=True)
class Reader:
    """Where a report will be read, and what can be shown there."""

    folder: Path
    """Links are relative to it."""
    colour: bool = False
    unicode: bool = True


@dataclass(frozen=True)
class Format:
    """One value of --format; functions are written "module:function"."""

    suffix: str
    """Of a file in this format."""
    render_runs: str
    """Called with a list of JudgedRun and a Reader, it returns the report."""
    render_folder: str | None = None
    """Called with a RunFolder and a Reader; None: a folder of runs does not have this format."""
    of_several: bool = True
    """Whether one report can be of several runs."""

    def of_runs(self, runs: Sequence[JudgedRun], reader: Reader) -> str:
        """The report of these runs. Raises ResultError for a damaged one."""
        return str(load(self.render_runs)(runs, reader))

    def of_folder(self, folder: RunFolder, reader: Reader) -> str:
        """The report of a folder of runs. Raises ValueError where the format has none."""
        if self.render_folder is None:
            raise ValueError("this format is of runs, not of a folder of them")
        return str(load(self.render_folder)(folder, reader))


_FORMATS = {
    "text": Format(".txt", "bench.report.text:render_runs"),
    "json": Format(".json", "bench.report.data:render_runs_json", "bench.report.data:render_folder_json"),
    "csv": Format(".csv", "bench.report.data:render_runs_csv"),
    "html": Format(
        ".html", "bench.report.html.run_page:render_runs", "bench.report.index.page:render", of_several=False
    ),
    "markdown": Format(".md", "bench.report.markdown:render_runs", "bench.report.markdown:render_folder"),
    "junit": Format(".xml", "bench.report.junit:render_runs", "bench.report.junit:render_folder"),
}
FORMATS = Table("report format", "holdfast.reports", _FORMATS, lambda entry: isinstance(entry, Format))
DEFAULT, DEFAULT_OF_FOLDER = "text", "html"


def folder_formats() -> list[str]:
    """The formats that a folder of runs has, the default first."""
    names = [name for name, report_format in FORMATS.items() if report_format.render_folder is not None]
    return sorted(names, key=lambda name: name != DEFAULT_OF_FOLDER)
