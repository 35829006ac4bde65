"""`bench report RUN…`: saved runs in a form to read or to process; of a folder of runs one page over all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bench.cli.output import NamedPath, say
from bench.core.errors import ResultError, UsageError

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict
    from bench.results.reader import Run

OF_ONE, OF_FOLDER = ("html",), ("html", "json", "markdown", "junit")
"""Forms that are of a single run; forms that a folder of runs has."""


class Judged(NamedTuple):
    """A run and its verdict."""

    run: Run
    verdict: Verdict


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=NamedPath(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "html", "markdown", "junit"]),
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
        page = _of_folder(folders[0], form or "html", out)
        if out is None and (form or "html") == "html":
            out = folders[0] / "index.html"
    else:
        page = _of_runs(runs, form or "text", colour_allowed=out is None)
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
    from bench.report import data, junit, markdown
    from bench.report.index import page as render
    from bench.report.index.entries import entries_in

    if form not in OF_FOLDER:
        raise UsageError(
            f"--format {form} is of runs, and {folder} is a folder of them; name its runs, or use "
            f"one of {', '.join(OF_FOLDER)}"
        )
    entries = entries_in(folder)
    match form:
        case "json":
            return data.render_folder_json(entries)
        case "markdown":
            return markdown.render_summary(entries)
        case "junit":
            return junit.render(entries)
        case _:
            return render.render(entries, folder if out is None else out.parent, folder.resolve().name)


def _of_runs(paths: tuple[Path, ...], form: str, colour_allowed: bool) -> str:
    from bench.judge.judge import judge
    from bench.judge.verdict import saved
    from bench.results.reader import Run

    if len(paths) > 1 and form in OF_ONE:
        raise UsageError(f"--format {form} is of one run; for several name the folder that they are in")
    loaded = [Run.load(path) for path in paths]
    judged = [Judged(run, saved(run.path) or judge(run)) for run in loaded]
    match form:
        case "json":
            return _json(judged)
        case "csv":
            return _csv(judged)
        case "markdown":
            return markdown_of(judged)
        case "junit":
            return junit_of(judged)
        case "html":
            return _html(judged[0])
        case _:
            return _text(judged, colour_allowed)


def _text(judged: list[Judged], colour_allowed: bool) -> str:
    from bench.report import text
    from bench.report.render.text import is_colourful, is_unicode

    colour = colour_allowed and is_colourful()
    unicode = is_unicode() or not colour_allowed
    return "\n".join(text.render(*one, colour=colour, unicode=unicode) for one in judged)


def _json(judged: list[Judged]) -> str:
    from bench.report import data
    from bench.results.layout import as_json

    texts = [data.render_json(*one) for one in judged]
    if len(texts) == 1:
        return texts[0]
    return as_json({"format": data.FORMAT, "runs": [json.loads(text) for text in texts]})


def _csv(judged: list[Judged]) -> str:
    from bench.report import data

    first, *others = [data.render_csv(*one) for one in judged]
    return first + "".join(text.partition("\n")[2] for text in others)


def markdown_of(judged: list[Judged]) -> str:
    """One run in full; several as a table with each of them folded below it."""
    from bench.report import markdown
    from bench.report.index.entries import entry_with

    if len(judged) == 1:
        return markdown.render(*judged[0])
    by_path = {one.run.path: one for one in judged}
    entries = [entry_with(*one) for one in judged]
    return markdown.render_summary(entries, lambda entry: markdown.blocks(*by_path[entry.path]))


def junit_of(judged: list[Judged]) -> str:
    """Runs as one document."""
    from bench.report import junit
    from bench.report.index.entries import entry_with

    return junit.render([entry_with(*one) for one in judged])


def _html(one: Judged) -> str:
    from bench.report.html.run_page import render

    return render(*one)
