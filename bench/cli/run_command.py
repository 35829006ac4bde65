"""`bench run SCENARIO…`: run scenarios in sequence against one stack, judge each, exit with the worst."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import say
from bench.errors import ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.attendants import Attendant
    from bench.judge.verdict import Verdict
    from bench.scenario.load import LoadedScenario
    from bench.scenario.model import Scenario
    from bench.session import Session, StopRequest


class NamedFolder(click.Path):
    """A path that is not empty: `--out "$UNSET"` would else fill the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if value == "":
            self.fail("the name is empty; name a folder, or . for this one", param, ctx)
        return super().convert(value, param, ctx)


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--stack", "stack_kind", help="embedded, docker, compose or external (default: external if a URL is set)."
)
@click.option("--out", type=NamedFolder(path_type=Path), default=Path("results"), show_default=True)
@click.option(
    "--only",
    type=click.Choice(["load", "chaos"]),
    help="Of the scenarios named, only those without faults, or only those with.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Use this seed instead of the scenario's.")
@click.option("--quick", is_flag=True, help="Shorten the phases for a smoke run; the run says so.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the verdicts as a JSON array, all else to stderr."
)
def command(
    scenarios: tuple[Path, ...],
    stack_kind: str | None,
    out: Path,
    only: str | None,
    seed: int | None,
    quick: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run the scenario files (or all in a folder) and judge them.

    \b
    bench run scenarios/redis_latency.yaml --quick
    bench run scenarios/redis_latency.yaml --set workloads.cache.rate=5000/s
    """
    from bench.judge.status import exit_code
    from bench.progress import progress_for
    from bench.run_folder.files import as_json as json_text
    from bench.run_folder.sweep import sweep
    from bench.session import Session, StopRequest
    from bench.stack.stack import open_stack

    loaded = _load_all(scenarios, overrides, quick)
    if only is not None:
        loaded = [one for one in loaded if bool(one.scenario.faults) == (only == "chaos")]
    if not loaded:
        raise UsageError(f"--only {only}: none of the scenarios is of that kind; name others")
    sweep(out)
    verdicts: list[Verdict] = []
    stop = StopRequest()
    interrupted: InterruptedRun | None = None
    needed = {w.target for one in loaded for w in one.scenario.workloads if w.driver != "noop"}
    needed |= {fault.target for one in loaded for fault in one.scenario.faults}
    needed |= {check.store for one in loaded for check in one.scenario.integrity if check.store}
    with _signals(stop), _log_folder(out) as logs, open_stack(stack_kind, needed, logs) as stack:
        session = Session(stack, out, progress_for(), stop, seed, _companions)
        for one in loaded:
            try:
                verdicts.append(_run_and_judge(session, one, as_json))
            except InterruptedRun as stopped:
                interrupted = stopped
                break
    if as_json:
        say(json_text([verdict.to_json() for verdict in verdicts]), newline=False)
    elif len(verdicts) > 1:
        say(_summary(verdicts))
    if interrupted is not None:
        say(f"bench: {interrupted}", to=sys.stderr)
        return ExitCode.INTERRUPTED
    return exit_code([verdict.status for verdict in verdicts])


def _companions(scenario: Scenario) -> list[Attendant]:
    """Chaos goes along with faults and checks of data: this is the one place that knows both packages."""
    if not scenario.faults and not scenario.integrity:
        return []
    from chaos.attendant import Chaos

    return [Chaos()]


@contextmanager
def _log_folder(out: Path) -> Iterator[Path]:
    """A folder for the logs of the stack's services while it is up; each run keeps its own copy."""
    from bench.errors import ResultError

    folder = out / f".stack-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob(".stack-*"):
            if not Path("/proc", old.name.removeprefix(".stack-")).exists():
                shutil.rmtree(old, ignore_errors=True)  # of a harness that was killed
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ResultError(
            f"results cannot be written to {out}: {error.strerror}; name another folder"
        ) from None
    yield folder
    # Not after an error: its message may name a log in there. The next run clears it away.
    shutil.rmtree(folder, ignore_errors=True)


def _load_all(paths: tuple[Path, ...], overrides: tuple[str, ...], quick: bool) -> list[LoadedScenario]:
    """Every scenario, or every problem of all of them at once."""
    from bench.errors import Problem, ScenarioError
    from bench.scenario.load import discover, load_scenario

    loaded: list[LoadedScenario] = []
    problems: list[Problem] = []
    for path in discover(paths):
        try:
            loaded.append(load_scenario(path, overrides, quick))
        except ScenarioError as error:
            problems += [
                replace(one, file=f"{path}: --set") if one.file == "--set" else one for one in error.problems
            ]
    if problems:
        raise ScenarioError(problems)
    return loaded


def _run_and_judge(session: Session, loaded: LoadedScenario, as_json: bool) -> Verdict:
    from bench.judge.judge import judge
    from bench.judge.verdict import save
    from bench.report import text
    from bench.run_folder.reader import Run

    run = Run.load(session.run(loaded))
    verdict = judge(run)
    save(verdict, run.path)
    session.watchers.judged(verdict)
    stream = sys.stderr if as_json else sys.stdout
    colour = stream.isatty() and text.is_colourful()
    say(text.render(run, verdict, colour, unicode=text.is_unicode(stream)), to=stream)
    return verdict


def _summary(verdicts: list[Verdict]) -> str:
    width = max(len(verdict.scenario) for verdict in verdicts)
    return "\n".join(
        f"{verdict.status.name:<12} {verdict.scenario:<{width}}  {verdict.run}" for verdict in verdicts
    )


@contextmanager
def _signals(stop: StopRequest) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order; a second one at once."""

    def ask(number: int, frame: object) -> None:  # noqa: ARG001 - the signal module's form
        stop.ask()

    previous = {
        number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
