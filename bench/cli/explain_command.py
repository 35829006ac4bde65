"""`bench explain RUN`: what made the tail of a saved run."""

from pathlib import Path

import click

from bench.cli.output import NamedPath, say


@click.command()
@click.argument("run", type=NamedPath(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(run: Path, as_json: bool) -> None:
    """Say what made the slow arrivals of the saved run in folder RUN slow.

    Ranked causes, each with the measured share of the tail: what took longer than the run's limit for
    response times, or than its P99 where it has no such rule. What may be a coincidence is not named a cause.

    \b
    bench explain results/20260202t024000z-redis_latency-0a1b2c
    """
    from bench.explain.explanation import explain
    from bench.report import explanation
    from bench.report.render import text
    from bench.results.layout import as_json as json_text
    from bench.results.reader import Run

    found = explain(Run.load(run))
    if as_json:
        say(json_text(explanation.data(found)), newline=False)
    else:
        say(text.render(explanation.sections(found), text.is_colourful()), newline=False)
