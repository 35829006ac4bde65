"""`bench compare BEFORE AFTER`: what became slower since earlier runs, and whether the runs can show it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from bench.cli.output import say
from bench.core.errors import ExitCode


class Threshold(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click
    """A percentage above 0, as a ratio."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Click's hook."""
        from bench.core import units

        try:
            found = units.ratio(value)
        except units.Mismatch as problem:
            self.fail(f"{problem}; {problem.advice}", param, ctx)
        if not 0 < found <= 10:
            self.fail(f'expected a percentage above 0 % and up to 1000 %, found "{value}"', param, ctx)
        return found


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--threshold", type=Threshold(), default="10%", show_default=True, help="Ignore smaller differences."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "github"]),
    default="text",
    show_default=True,
    help="Output format; github prints annotations only.",
)
@click.option("--force", is_flag=True, help="Also compare runs of other machines, seeds or scenario files.")
def command(before: Path, after: Path, threshold: float, form: str, force: bool) -> ExitCode:
    """Compare the newest run of each scenario in AFTER with all of its runs in BEFORE.

    \b
    bench compare results/RUN results/OTHER_RUN
    bench compare history results --threshold 20%

    Each is a run folder or a folder of runs. Interrupted and INVALID runs are left out, and so are runs
    of another machine, seed, scenario file or form. Several earlier runs show how much results
    vary on this machine; with only one, a usual variation is assumed.

    \b
    Exit codes: 0 no regression, 1 a regression, 5 cannot tell.
    """
    from bench.compare.baseline_runs import candidates
    from bench.compare.comparison import compare
    from bench.core.errors import UsageError
    from bench.report import comparison

    if before.exists() and after.exists() and before.samefile(after):
        raise UsageError(
            f"compare: expected two places, found {after} twice; "
            "name earlier runs first, such as results/RUN or a folder of the nights before"
        )
    found = compare(candidates(before), candidates(after), threshold, force=force)
    renderers = {
        "text": comparison.render_text,
        "markdown": comparison.render_markdown,
        "json": comparison.render_json,
        "github": comparison.render_annotations,
    }
    say(renderers[form](found), newline=False)
    if form != "github" and os.environ.get("GITHUB_ACTIONS") == "true":
        # Not among what is read by a program or put into a summary; GitHub reads both streams.
        say(
            comparison.render_annotations(found),
            to=sys.stdout if form == "text" else sys.stderr,
            newline=False,
        )
    return found.exit_code
