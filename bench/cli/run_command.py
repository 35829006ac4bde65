"""`bench run`: scenarios, one after the other, each with its verdict.

First the options of the exporters, then the reports for a CI system, which are written however the
runs end.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bench.cli.output import DurationNs, NamedPath, say, say_problem
from bench.cli.session_opening import (
    by_stack,
    is_of_kind,
    load_all,
    open_session,
    run_and_judge,
    stop_signals,
)
from bench.core.errors import ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.exporters.choice import Asked
    from bench.judge.verdict import Verdict
    from bench.run.session import Session
    from bench.scenario.load import LoadedScenario


def exporter_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command gets them as `asked` (bench.exporters.choice.Asked)."""

    @click.option(
        "--prometheus",
        "port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve the run in progress at http://127.0.0.1:PORT/metrics.",
    )
    @click.option(
        "--prometheus-host",
        "host",
        metavar="HOST",
        help="Serve it at this address instead; beyond loopback it requires credentials.",
    )
    @click.option(
        "--prometheus-stay",
        "stay_s",
        type=click.FloatRange(0, 3600),
        metavar="SECONDS",
        default=0.0,
        help="Keep serving this long after the last verdict, so that it can be scraped.",
    )
    @click.option(
        "--otel",
        "endpoint",
        metavar="URL",
        help="Send metrics and traces by OTLP over HTTP (default: OTEL_EXPORTER_OTLP_ENDPOINT, if set).",
    )
    @functools.wraps(command)
    def with_options(
        *arguments: object,
        port: int | None,
        host: str | None,
        stay_s: float,
        endpoint: str | None,
        **named: object,
    ) -> int:
        from bench.exporters.choice import Asked

        if port is None and (host is not None or stay_s):
            raise UsageError("--prometheus-host and --prometheus-stay go with --prometheus PORT; add it")
        asked = Asked(port, "127.0.0.1" if host is None else host, stay_s, endpoint)
        return command(*arguments, asked=asked, **named)

    return with_options


class CiReports(NamedTuple):
    """The files that were asked for; None for one that was not."""

    junit: Path | None
    markdown: Path | None


@contextmanager
def ci_reports(asked: CiReports, out: Path, verdicts: list[Verdict]) -> Iterator[None]:
    """Write the reports about `verdicts`, whose runs are in `out`, when the block ends, however it ends.

    Raises UsageError immediately for a file that could not be written, ResultError if it fails later.
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
    from bench.cli.report_command import write_report
    from bench.report.formats import FORMATS, JudgedRun, Reader
    from bench.results.reader import Run

    judged = [JudgedRun(Run.load(out / verdict.run), verdict) for verdict in verdicts]
    for form, path in (("junit", asked.junit), ("markdown", asked.markdown)):
        if path is not None:
            write_report(path, FORMATS[form].of_runs(judged, Reader(path.parent)))


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--stack",
    "stack_named",
    metavar="STACK",
    help="embedded, docker, compose, external (the default if a URL is set), or a stack file.",
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
@click.option(
    "--wait",
    "wait_ns",
    type=DurationNs(),
    metavar="DURATION",
    help="Wait for targets that do not answer yet (default: 30s for those that say they are starting).",
)
@exporter_options
def command(
    scenarios: tuple[Path, ...],
    stack_named: str | None,
    out: Path,
    only: str | None,
    seed: int | None,
    quick: bool,
    overrides: tuple[str, ...],
    as_json: bool,
    junit: Path | None,
    markdown: Path | None,
    wait_ns: int | None,
    asked: Asked,
) -> int:
    """Run the scenario files (or all in a folder) and judge them.

    \b
    bench run scenarios/redis_latency.yaml --quick
    bench run scenarios/redis_latency.yaml --set workloads.cache.rate=5000/s
    """
    from bench.core.clock import NS_PER_S
    from bench.exporters.choice import open_exporters
    from bench.judge.verdict import exit_code
    from bench.results.layout import as_json as json_text
    from bench.run.plugins import Observers
    from bench.run.progress import progress_for
    from bench.run.stop_request import StopRequest

    groups = [
        (stack, loaded)
        for stack, paths in by_stack(stack_named, scenarios)
        if (loaded := [each for each in load_all(paths, overrides, quick, stack) if is_of_kind(each, only)])
    ]
    if not groups:
        raise UsageError(f"--only {only}: none of the scenarios is of that kind; name others")
    verdicts: list[Verdict] = []
    stop, progress = StopRequest(), progress_for()
    interrupted: InterruptedRun | None = None
    watchers = Observers(open_exporters(asked, progress.step), progress.step)
    wait_s = None if wait_ns is None else wait_ns / NS_PER_S
    with (
        ci_reports(CiReports(junit, markdown), out, verdicts),
        stop_signals(stop),
        contextlib.closing(watchers),
    ):
        for stack, loaded in groups:
            with open_session(
                loaded,
                out,
                stack,
                progress,
                stop,
                seed=seed,
                watchers=watchers,
                wait_s=wait_s,
                is_last=False,
            ) as session:
                for one in loaded:
                    try:
                        verdicts.append(_run_and_judge(session, one, as_json))
                    except InterruptedRun as stopped:
                        interrupted = stopped
                        break
            if interrupted is not None:
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
    from bench.report.render.text import is_colourful, is_unicode

    run, verdict = run_and_judge(session, loaded)
    stream = sys.stderr if as_json else sys.stdout
    colour = stream.isatty() and is_colourful()
    say(text.render_ended(run, verdict, colour, unicode=is_unicode(stream)), to=stream)
    return verdict


def _summary(verdicts: list[Verdict]) -> str:
    width = max(len(verdict.scenario) for verdict in verdicts)
    return "\n".join(
        f"{verdict.status.name:<12} {verdict.scenario:<{width}}  {verdict.run}" for verdict in verdicts
    )
