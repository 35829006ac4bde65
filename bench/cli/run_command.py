"""`bench run SCENARIO…`: run scenarios in sequence against one stack, judge each, exit with the worst."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.ci_reports import CiReports, ci_reports
from bench.cli.exporter_options import exporter_options
from bench.cli.named_path import NamedPath
from bench.cli.output import say, say_problem
from bench.cli.session_opening import is_of_kind, load_all, open_session, run_and_judge, stop_signals
from bench.core.errors import ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    from bench.exporters.choice import Asked
    from bench.judge.verdict import Verdict
    from bench.run.session import Session
    from bench.scenario.load import LoadedScenario


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--stack", "stack_kind", help="embedded, docker, compose or external (default: external if a URL is set)."
)
@click.option("--out", type=NamedPath(path_type=Path), default=Path("results"), show_default=True)
@click.option(
    "--only",
    type=click.Choice(["load", "chaos"]),
    help="Run only the scenarios without faults, or only those with faults.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Use this seed instead of the scenario's.")
@click.option("--quick", is_flag=True, help="Shorten the phases for a smoke run; the run is marked as quick.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the verdicts as a JSON array; everything else goes to stderr.",
)
@click.option(
    "--junit",
    type=NamedPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all verdicts as JUnit XML.",
)
@click.option(
    "--markdown",
    type=NamedPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a summary of all runs in Markdown.",
)
@exporter_options
def command(
    scenarios: tuple[Path, ...],
    stack_kind: str | None,
    out: Path,
    only: str | None,
    seed: int | None,
    quick: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    junit: Path | None,
    markdown: Path | None,
    asked: Asked,
) -> int:
    """Run the scenario files (or all in a folder) and judge them.

    \b
    bench run scenarios/redis_latency.yaml --quick
    bench run scenarios/redis_latency.yaml --set workloads.cache.rate=5000/s
    """
    from bench.exporters.choice import open_exporters
    from bench.judge.status import exit_code
    from bench.results.files import as_json as json_text
    from bench.run.observers import Observers
    from bench.run.progress import progress_for
    from bench.run.stop_request import StopRequest

    loaded = [one for one in load_all(scenarios, overrides, quick) if is_of_kind(one, only)]
    if not loaded:
        raise UsageError(f"--only {only}: none of the scenarios is of that kind; name others")
    verdicts: list[Verdict] = []
    stop, progress = StopRequest(), progress_for()
    interrupted: InterruptedRun | None = None
    watchers = Observers(open_exporters(asked, progress.step), progress.step)
    with (
        ci_reports(CiReports(junit, markdown), out, verdicts),
        stop_signals(stop),
        open_session(loaded, out, stack_kind, progress, stop, seed=seed, watchers=watchers) as session,
    ):
        for one in loaded:
            try:
                verdicts.append(_run_and_judge(session, one, as_json))
            except InterruptedRun as stopped:
                interrupted = stopped
                break
        if asked.stay_s:
            stop.wait(asked.stay_s)
    if as_json:
        say(json_text([verdict.to_json() for verdict in verdicts]), newline=False)
    elif len(verdicts) > 1:
        say(_summary(verdicts))
    if interrupted is not None:
        say_problem(f"bench: {interrupted}")
        return ExitCode.INTERRUPTED
    return exit_code([verdict.status for verdict in verdicts])


def _run_and_judge(session: Session, loaded: LoadedScenario, as_json: bool) -> Verdict:
    from bench.report import text

    run, verdict = run_and_judge(session, loaded)
    stream = sys.stderr if as_json else sys.stdout
    colour = stream.isatty() and text.is_colourful()
    say(text.render_ended(run, verdict, colour, unicode=text.is_unicode(stream)), to=stream)
    return verdict


def _summary(verdicts: list[Verdict]) -> str:
    width = max(len(verdict.scenario) for verdict in verdicts)
    return "\n".join(
        f"{verdict.status.name:<12} {verdict.scenario:<{width}}  {verdict.run}" for verdict in verdicts
    )
