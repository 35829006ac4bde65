"""`bench report RUN…`: saved runs in a form to read or to process; of a folder of runs one page over all."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from bench.cli.output import NamedPath, say
from bench.core.errors import ResultError, UsageError
from bench.report.formats import (
    DEFAULT,
    DEFAULT_OF_FOLDER,
    FORMATS,
    JudgedRun,
    Reader,
    RunFolder,
    folder_formats,
)


class FormatName(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click
    """One of the formats that are registered when it is asked for."""

    name = "format"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002 - Click's
        """Click's hook: the names between brackets."""
        return f"[{'|'.join(FORMATS)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Click's hook: a usage error for another name."""
        if value in FORMATS:
            FORMATS[value]  # raises PluginError where it is a plug-in's that cannot be used
            return str(value)
        return str(_choice().convert(value, param, ctx))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Click's hook: the names that begin like that."""
        return _choice().shell_complete(ctx, param, incomplete)


def _choice() -> click.Choice:  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click only
    return click.Choice(list(FORMATS))


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=NamedPath(path_type=Path))
@click.option(
    "--format",
    "form",
    type=FormatName(),
    help="Output format (default: text; html for a folder of runs).",
)
@click.option(
    "--out",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Write to this file, and print its name (default for the page of a folder: index.html in it).",
)
def command(runs: tuple[Path, ...], form: str | None, out: Path | None) -> None:
    """Print the saved run in folder RUN with its verdict; several runs one after the other, or combined.

    A run without a verdict is judged by its own rules first. To gate on a verdict use bench judge: this
    command exits with 0 if the report could be printed.

    \b
    bench report results/20260202t024000z-redis_latency-0a1b2c
    bench report results/                 one page over all runs: index.html in it
    bench report results/ --format markdown >> "$GITHUB_STEP_SUMMARY"
    """
    from bench.report.index.entries import is_folder_of_runs

    folders = [path for path in runs if is_folder_of_runs(path)]
    if folders and len(runs) > 1:
        raise UsageError(f"{folders[0]} is a folder of runs: name it alone, or name only runs")
    if folders:
        form = form or DEFAULT_OF_FOLDER
        page = _of_folder(folders[0], form, out)
        if out is None and form == DEFAULT_OF_FOLDER:
            out = folders[0] / f"index{FORMATS[form].suffix}"
    else:
        page = _of_runs(runs, form or DEFAULT, out)
    if out is None:
        click.echo(page, nl=False)
        return
    write_report(out, page)
    say(str(out))


def write_report(path: Path, text: str) -> None:
    """Put a report at `path`, whole or not at all. Raises ResultError."""
    from bench.results.layout import write_whole

    try:
        write_whole(path, text)
    except OSError as error:
        raise ResultError(
            f"{path}: the report cannot be written: {error.strerror}; name another file with --out"
        ) from error


def _of_folder(folder: Path, form: str, out: Path | None) -> str:
    from bench.report.index.entries import entries_in

    if form not in folder_formats():
        raise UsageError(
            f"--format {form} is of runs, and {folder} is a folder of them; name its runs, or use "
            f"one of {', '.join(folder_formats())}"
        )
    found = RunFolder(folder.resolve().name, entries_in(folder))
    return FORMATS[form].of_folder(found, Reader(folder if out is None else out.parent))


def _of_runs(paths: tuple[Path, ...], form: str, out: Path | None) -> str:
    from bench.judge.judge import judge
    from bench.judge.verdict import saved
    from bench.report.render.text import is_colourful, is_unicode
    from bench.results.reader import Run

    if len(paths) > 1 and not FORMATS[form].of_several:
        raise UsageError(f"--format {form} is of one run; for several name the folder that they are in")
    loaded = [Run.load(path) for path in paths]
    judged = [JudgedRun(run, saved(run.path) or judge(run)) for run in loaded]
    reader = Reader(Path(), is_colourful(), is_unicode()) if out is None else Reader(out.parent)
    return FORMATS[form].of_runs(judged, reader)
