"""`bench trend RESULTS`: where the level of a figure changed over many nights."""

from pathlib import Path

import click

from bench.cli.output import NamedPath, say


@click.command()
@click.argument("results", type=NamedPath(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the changes as a JSON array.")
@click.option("--markdown", is_flag=True, help="Print them in Markdown.")
def command(results: Path, as_json: bool, markdown: bool) -> None:
    """Find change points over the runs in folder RESULTS: since which night a figure is another one.

    \b
    bench trend results
    bench trend results/history --json

    Runs are joined if scenario, options, machine and versions of the measuring side are the same; at
    least eight are needed, three of them since the change. INVALID and interrupted runs are left out.

    A change is a candidate until a result of bench ab in the folder, or in ab/ below it, confirms it for the
    same scenario and figure. A history alone is no gate: the exit code is 0 whatever is found.
    """
    from bench.ab.record import results_in
    from bench.core.errors import UsageError
    from bench.report import trend
    from bench.trend.series import changes, nights_in, series_of

    if as_json and markdown:
        raise UsageError("trend: expected --json or --markdown, found both; remove one")
    nights, left_out = nights_in(results)
    series = series_of(nights)
    found = changes(series, results_in(results))
    if as_json:
        say(trend.render_json(found), newline=False)
        return
    render = trend.render_markdown if markdown else trend.render_text
    say(
        render(found, len(nights), len({(one.scenario, one.metric) for one in series}), left_out),
        newline=False,
    )
