"""`bench validate PATH...`: every problem of every file, with its place."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.core.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from bench.scenario.load import LoadedScenario
    from bench.stack.stack_file import StackFile

WIDTH = 80


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Check with this value replaced."
)
@click.option("--stack", "stack_named", metavar="FILE", help="Check against the targets of this stack file.")
def command(paths: tuple[str, ...], overrides: tuple[str, ...], stack_named: str | None) -> None:
    """Check scenario files and files of requirements, or all in a directory; report every problem
    with file:line.

    Requirements are also checked against the scenarios beside them: what each names must be there and
    produce the figure that is asked for.

    What is allowed but probably a mistake is printed as a hint. The exit code is 3 if there is a problem.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.scenario.load import discover

    problems: list[Problem] = []
    given = named_stack(stack_named, ()) if stack_named is not None else None
    scenarios, wanted = _parted(paths)
    for path in wanted:
        try:
            say(_requirements(path, given, [*map(Path, paths)]))
        except ScenarioError as error:
            problems += error.problems
    for path in discover(scenarios):
        try:
            loaded = load_for(given or named_stack(None, [path]), path, overrides)
        except ScenarioError as error:
            problems += error.problems
            continue
        say(_summary(loaded))
        for hint in _hints(loaded):
            say(hint)
    if problems:
        raise ScenarioError(problems)


def _parted(paths: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """What may hold scenarios, and the files of requirements: those that are named, or in a folder."""
    from bench.assess.requirements_file import is_requirements_file, requirements_in

    scenarios, wanted = [], []
    for path in map(Path, paths):
        if path.is_dir():
            scenarios.append(path)
            wanted += requirements_in(path)
        elif path.is_file() and is_requirements_file(path):
            wanted.append(path)
        else:
            scenarios.append(path)
    return scenarios, wanted


def _requirements(path: Path, stack: "str | StackFile | None", named: list[Path]) -> str:
    """Check one file of requirements. Raises ScenarioError."""
    from bench.assess.requirements_file import load_requirements, scenarios_beside
    from bench.cli.session_opening import load_for, named_stack
    from bench.scenario.source import file_name

    known: dict[str, LoadedScenario] = {}
    for file in scenarios_beside(path, named):
        try:
            loaded = load_for(stack or named_stack(None, [file]), file)
        except ScenarioError:
            continue  # which is reported where that file is checked
        known.setdefault(loaded.scenario.scenario, loaded)
    targets = dict.fromkeys(name for one in known.values() for name in one.topology)
    contents = load_requirements(path, known, targets if known else None)
    areas = len({one.area for one in contents.requirements})
    counts = f"{_counted(len(contents.requirements), 'requirement')}, {_counted(areas, 'area')}"
    return f"{file_name(path)}: ok ({counts})"


def _summary(loaded: "LoadedScenario") -> str:
    from bench.core.units import format_duration_ns
    from bench.scenario.source import file_name

    scenario = loaded.scenario
    counts = [
        _counted(len(scenario.workloads), "workload"),
        _counted(len(scenario.phases), "phase"),
        format_duration_ns(scenario.total_ns),
        _counted(len(loaded.rules), "rule"),
    ]
    return f"{file_name(loaded.path)}: ok ({', '.join(counts)})"


def _hints(loaded: "LoadedScenario") -> list[str]:
    from bench.scenario.rules.lint import hints_of

    hints = hints_of(loaded.scenario, loaded.rules, loaded.topology)
    return [
        textwrap.fill(f"hint: {hint}", WIDTH, initial_indent="  ", subsequent_indent="    ") for hint in hints
    ]


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
