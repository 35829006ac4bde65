"""`bench validate PATH...`: every problem of every file, with its place."""

import textwrap
from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.core.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from bench.scenario.load import LoadedScenario

WIDTH = 80


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Check with this value replaced."
)
@click.option("--stack", "stack_named", metavar="FILE", help="Check against the targets of this stack file.")
def command(paths: tuple[str, ...], overrides: tuple[str, ...], stack_named: str | None) -> None:
    """Check scenario files, or all in a directory; report every problem with file:line.

    What is allowed but probably a mistake is printed as a hint. The exit code is 3 if there is a problem.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.scenario.load import discover

    problems: list[Problem] = []
    given = named_stack(stack_named, ()) if stack_named is not None else None
    for path in discover(paths):
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
