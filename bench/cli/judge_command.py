"""`bench judge RUN`: judge a saved run, by its own rules or by others, without running it again."""

from pathlib import Path

import click

from bench.cli.output import NamedPath, say
from bench.core.errors import ExitCode


@click.command()
@click.argument("run", type=NamedPath(path_type=Path))
@click.option(
    "--sla", type=click.Path(path_type=Path), help="Rules of a scenario file, or a YAML list of rules."
)
@click.option("--write", is_flag=True, help="With --sla: make this the run's own verdict.json.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def command(run: Path, sla: Path | None, write: bool, as_json: bool) -> ExitCode:
    """Judge the saved run in folder RUN.

    With the run's own rules, the verdict is written to its verdict.json and report.html. With the rules
    of --sla it is only printed, unless --write is given.
    """
    from bench.judge.judge import judge
    from bench.judge.rules_file import rules_in
    from bench.judge.verdict import exit_code, save
    from bench.report import html, text
    from bench.report.render.text import is_colourful
    from bench.results.layout import as_json as json_text
    from bench.results.ownership import is_under_way
    from bench.results.reader import Run

    if write and sla is None:
        raise click.UsageError("--write goes with --sla: the run's own rules are always written")
    found = Run.load(run)
    verdict = judge(found, None if sla is None else rules_in(sla, found))
    if (sla is None or write) and not is_under_way(found.path):  # who writes it judges it, at its end
        save(verdict, found.path)
        html.save(found, verdict)
    if as_json:
        say(json_text(verdict.to_json()), newline=False)
    else:
        say(text.render_verdict(found, verdict, colour=is_colourful()), newline=False)
    return exit_code([verdict.status])
