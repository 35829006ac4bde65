"""`bench list [PATH...]`: the scenarios, what each one asks and how long it takes."""

import sys
import textwrap
from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.core.errors import ExitCode, ScenarioError

if TYPE_CHECKING:
    from bench.scenario.load import LoadedScenario

WIDTH = 80


@click.command("list")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
def command(paths: tuple[str, ...]) -> int:
    """List the scenarios in PATH (default: scenarios/), with their rules.

    Files with problems are reported on standard error, and the exit code is 3.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.scenario.load import discover
    from bench.scenario.source import file_name

    code = ExitCode.OK
    for path in discover(paths or ("scenarios",)):
        try:
            say(_entry(load_for(named_stack(None, [path]), path, ())))
        except ScenarioError as error:
            count = len(error.problems)
            found = f"{count} problem{'s' * (count != 1)}"
            say(f"{file_name(path)}: {found}; see bench validate {file_name(path)}", to=sys.stderr)
            code = ExitCode.SCENARIO
    return code


def _entry(loaded: "LoadedScenario") -> str:
    from bench.core.units import format_duration_ns, quoted
    from bench.scenario.source import file_name

    scenario = loaded.scenario
    head = f"{scenario.scenario}  ({file_name(loaded.path)}, {format_duration_ns(scenario.total_ns)})"
    purpose = quoted(scenario.purpose, limit=1000)[1:-1]
    lines = [head, textwrap.fill(purpose, WIDTH, initial_indent="  ", subsequent_indent="  ")]
    for workload in scenario.workloads:
        rate = f"{workload.rate_per_s:g}/s {workload.arrivals}" if workload.rate_per_s else "closed loop"
        lanes = f"{workload.lanes} lane{'s' * (workload.lanes != 1)}"
        lines.append(f"  {workload.name}: {workload.driver} ({workload.engine}), {lanes}, {rate}")
    for fault in scenario.faults:
        again = f", {fault.repeat} times" if fault.repeat > 1 else ""
        lasts = f" for {format_duration_ns(fault.for_ns)}" if fault.for_ns else ""
        at = format_duration_ns(fault.at_ns or 0)
        lines.append(f"  fault: {fault.kind} {fault.where} at {at}{lasts}{again}")
    lines += [f"  check: {check.check} of {check.workload}" for check in scenario.integrity]
    lines += [f"  rule: {quoted(rule.text, limit=WIDTH - 8)[1:-1]}" for rule in loaded.rules]
    return "\n".join(lines) + "\n"
