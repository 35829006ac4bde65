"""Opening a session: what `bench run`, the agent and the pytest plugin do before their first run.

Here, and in the fault commands, the two packages meet: chaos goes along with a run that needs it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from bench.judge.verdict import Verdict
    from bench.registry import Topology
    from bench.results.reader import Run
    from bench.run.plugins import Observers, RunPlugin
    from bench.run.progress import Progress
    from bench.run.session import Session
    from bench.run.stop_request import StopRequest
    from bench.scenario.load import LoadedScenario
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.stack_file import StackFile
    from chaos.proxy.paths import PathProxies

LEAST_ROOM_BYTES = 1 << 20
"""Without so much room for results nothing is begun."""


def by_stack(text: str | None, scenarios: Sequence[Path]) -> list[tuple[str | StackFile | None, list[Path]]]:
    """The stacks that scenarios run against, each with its scenarios: the one that --stack names for all of
    them, or those that they name themselves, first for those that name none. Raises as `named_stack`.
    """
    from bench.scenario.load import discover, stack_named_in

    found = discover(scenarios)
    if text is not None:
        return [(named_stack(text, found), found)]
    groups: dict[str | None, list[Path]] = {}
    for path in found:
        groups.setdefault(stack_named_in(path) if path.is_file() else None, []).append(path)
    ordered = sorted(groups.items(), key=lambda group: group[0] or "")
    return [(named_stack(None, paths), paths) for _, paths in ordered]


def named_stack(text: str | None, scenarios: Sequence[Path]) -> str | StackFile | None:
    """What --stack names: a stack file, read, with its warnings printed; or a shipped stack by its name.

    Where it names none, the scenarios may, all of them the same one. Raises UsageError for an unknown name,
    ScenarioError for a file that cannot be used, and for a scenario that names no stack that there is.
    """
    from bench.cli.output import say_problem
    from bench.core.errors import ScenarioError, UsageError
    from bench.core.units import quoted
    from bench.scenario.load import discover, stack_named_in
    from bench.scenario.source import Place, file_name
    from bench.stack.stack_file import find_stack_file, load_stack_file

    named: dict[str | None, Path] = {}
    if text is None:
        named = {stack_named_in(path): path for path in discover(scenarios) if path.is_file()}
        text = next(iter(named), None)
    if text is None:
        return None
    try:
        path = find_stack_file(text)
    except UsageError as unknown:
        if text not in named:
            raise
        place = Place(file_name(named[text]))
        expected, advice = "a shipped stack, or a stack file", str(unknown).removeprefix("--stack: ")
        raise ScenarioError([place.problem("stack", expected, quoted(text), advice)]) from None
    if path is None:
        return text
    file = load_stack_file(path)
    for warning in file.warnings:
        say_problem(f"bench: {warning}")
    return file


def load_all(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    quick: bool = False,
    stack: str | StackFile | None = None,
) -> list[LoadedScenario]:
    """Every scenario that `paths` name, for its stack.

    Raises ScenarioError with every problem of all of them at once.
    """
    from bench.core.errors import Problem, ScenarioError
    from bench.scenario.load import discover

    loaded: list[LoadedScenario] = []
    problems: list[Problem] = []
    for path in discover(paths):
        try:
            loaded.append(load_for(stack, path, overrides, quick))
        except ScenarioError as error:
            problems += [
                replace(one, file=f"{path}: --set") if one.file == "--set" else one for one in error.problems
            ]
    if problems:
        raise ScenarioError(problems)
    return loaded


def load_for(
    stack: str | StackFile | None, path: Path, overrides: Sequence[str] = (), quick: bool = False
) -> LoadedScenario:
    """One scenario, checked against the targets of its stack. Raises ScenarioError."""
    from bench.scenario.load import load_scenario

    if stack is None or isinstance(stack, str):
        return load_scenario(path, overrides, quick, topology=_shipped(stack))
    return load_scenario(path, overrides, quick, stack.environment, stack.topology)


def _shipped(stack: str | None) -> Topology:
    """The targets of a shipped stack; where none is named, those that the environment names run elsewhere."""
    from bench.registry import shipped_topology
    from bench.stack.external import url_in

    if stack is not None:
        return shipped_topology("url" if stack == "external" else stack)
    return {
        name: replace(outline, place="url" if url_in(name) else "")
        for name, outline in shipped_topology().items()
    }


def is_of_kind(loaded: LoadedScenario, only: str | None) -> bool:
    """Whether a scenario is one of `load` (without faults), of `chaos` (with), or of any kind (None)."""
    return only is None or loaded.scenario.disturbs == (only == "chaos")


def needed_targets(loaded: Sequence[LoadedScenario]) -> set[str]:
    """The services that the scenarios drive, hurt or read back."""
    from bench.registry import contacts_a_target

    needed = {w.target for one in loaded for w in one.scenario.workloads if contacts_a_target(w.driver)}
    needed |= {name for each in loaded for one in each.scenario.actions if (name := one.aimed_at) is not None}
    faults = [fault for one in loaded for fault in one.scenario.faults]
    needed |= {stop.down for one in loaded for stop in one.scenario.stop_when if stop.down is not None}
    needed |= {name for fault in faults for name in (fault.target, fault.client) if name is not None}
    return needed | {check.store for one in loaded for check in one.scenario.integrity if check.store}


def plugins(scenario: Scenario, paths: PathProxies | None = None) -> list[RunPlugin]:
    """Chaos goes along with faults, checks of data and alerts; queries have a plugin of their own.

    paths: the proxies between services of its stack.
    """
    found: list[RunPlugin] = []
    external = scenario.prometheus
    if external is not None:
        from bench.run.prometheus import PrometheusWatch

        found.append(PrometheusWatch(external))
    if scenario.disturbs or scenario.integrity or (external is not None and external.alerts):
        from chaos.plugin import Chaos

        found.append(Chaos(paths))
    return found


def path_proxies(loaded: Sequence[LoadedScenario]) -> PathProxies | None:
    """The proxies on which the scenarios have faults between services; None where there is no such fault."""
    faults = [fault for one in loaded for fault in one.scenario.faults]
    paths = {(fault.client, fault.target) for fault in faults if fault.client is not None}
    if not paths:
        return None
    from chaos.proxy.paths import PathProxies

    return PathProxies(paths)


@contextmanager
def open_session(
    loaded: Sequence[LoadedScenario],
    out: Path,
    stack_kind: str | StackFile | None,
    progress: Progress,
    stop: StopRequest,
    *,
    seed: int | None = None,
    watchers: Observers | None = None,
    wait_s: float | None = None,
    is_last: bool = True,
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Session]:
    """A session for these scenarios, its stack up, which ends with it; so do observers of the last one.

    wait_s: the longest that a target which does not answer yet is waited for; None for one that says it
    is starting only. settings: of servers that the embedded stack starts, by target.

    Clears away first what a killed harness has left in `out`. Raises TargetError for a stack that does
    not come up, UsageError for one that does not exist, ResultError for a folder that cannot be written.
    """
    from bench.core.errors import ResultError
    from bench.core.machine_limits import expect_address_space
    from bench.results.ownership import sweep
    from bench.run.plugins import Observers
    from bench.run.session import Session
    from bench.stack.probes.health import Patience
    from bench.stack.stack import open_stack

    looking_on = Observers() if watchers is None else watchers
    try:
        expect_address_space()
        try:
            for kept in sweep(out):
                with suppress(ResultError):  # damage is reported when the run is asked for
                    _judged(kept)
        except OSError as error:
            raise ResultError(
                f"results cannot be written to {out}: {error.strerror}; "
                "make room or choose another folder with --out"
            ) from None
        with log_folder(out) as logs, contextlib.ExitStack() as open_now:
            paths = path_proxies(loaded)
            if paths is not None:
                open_now.enter_context(paths)
            stack = open_stack(stack_kind, needed_targets(loaded), logs, paths, settings)
            stack.patience = Patience(say=progress.step)
            if wait_s is not None:
                stack.patience = Patience(wait_s, for_absent=True, say=progress.step)
            stack = _up(open_now, stack, stop)
            yield Session(stack, out, progress, stop, seed, partial(plugins, paths=paths), looking_on)
    finally:
        if is_last:
            looking_on.close()


def _up(open_now: contextlib.ExitStack, stack: AbstractContextManager[Stack], stop: StopRequest) -> Stack:
    """The stack, up. A first signal meanwhile ends the start; later ones let it clear up.

    Raises InterruptedRun, TargetError, UsageError.
    """
    from bench.core.errors import InterruptedRun

    interrupted = InterruptedRun("interrupted while the stack was starting; nothing was measured")
    if stop.is_asked:
        raise interrupted
    try:
        stop.interrupts_start = True
        return open_now.enter_context(stack)
    except KeyboardInterrupt:
        if not stop.is_asked:
            raise
        raise interrupted from None
    finally:
        stop.interrupts_start = False


def run_and_judge(session: Session, loaded: LoadedScenario) -> tuple[Run, Verdict]:
    """Run one scenario and judge it; verdict and report are in the folder, and the observers have it.

    A run that was interrupted has both too. Raises InterruptedRun, TargetError, ScenarioError, ResultError.
    """
    from bench.core.errors import InterruptedRun

    try:
        run, verdict = _judged(session.run(loaded))
    except InterruptedRun as interrupted:
        if interrupted.kept is not None:
            _judged(interrupted.kept)
        raise
    session.watchers.judged(verdict)
    return run, verdict


def _judged(path: Path) -> tuple[Run, Verdict]:
    """The run in the folder `path`, which holds its verdict and its report from now on."""
    from bench.judge.judge import judge
    from bench.judge.verdict import save
    from bench.report import html
    from bench.results.reader import Run

    run = Run.load(path)
    verdict = judge(run)
    save(verdict, run.path)
    html.save(run, verdict)
    return run, verdict


@contextmanager
def log_folder(out: Path) -> Iterator[Path]:
    """A folder for the logs of the stack's services while it is up; each run keeps its own copy."""
    from bench.core.errors import ResultError

    folder = out / f".stack-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob(".stack-*"):
            if not Path("/proc", old.name.removeprefix(".stack-")).exists():
                shutil.rmtree(old, ignore_errors=True)  # of a harness that was killed
        folder.mkdir(exist_ok=True)
        # On a full disk it is the services that would fail first, without a word in their empty logs.
        room = folder / "room"
        room.write_bytes(bytes(LEAST_ROOM_BYTES))
        room.unlink()
    except OSError as error:
        raise ResultError(
            f"results cannot be written to {out}: {error.strerror}; name another folder"
        ) from None
    yield folder
    # Not after an error: its message may name a log in there. The next run clears it away.
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stop_signals(stop: StopRequest) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order; a second one immediately. So does a hang-up.

    Under `nohup` a hang-up is ignored, and the run is to continue.
    """

    def ask(number: int, frame: object) -> None:  # noqa: ARG001 - the signal module's form
        stop.ask()
        if stop.interrupts_start and stop.count == 1:
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
