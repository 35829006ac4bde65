"""`bench report RUN`: a saved run as text, JSON or CSV."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="Its form.",
)
def command(run: Path, form: str) -> None:
    """Print the saved run in folder RUN with its verdict.

    A run without a verdict is judged by its own rules first. To gate on a run use bench judge:
    a report that could be printed exits 0.
    """
    from bench.judge.judge import judge
    from bench.judge.verdict import saved
    from bench.report import csv_report, json_report, text
    from bench.run_folder.reader import Run

    found = Run.load(run)
    verdict = saved(found.path) or judge(found)
    match form:
        case "json":
            click.echo(json_report.render(found, verdict), nl=False)
        case "csv":
            click.echo(csv_report.render(found, verdict), nl=False)
        case _:
            click.echo(
                text.render(found, verdict, colour=text.is_colourful(), unicode=text.is_unicode()), nl=False
            )
