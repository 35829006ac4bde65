"""`bench plan SCENARIO`: what a run would do, without doing it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.core.units import spaced
from bench.registry import OF, path_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.plan.plan import PhasePlan, Plan, WorkloadPlan
    from bench.registry import Topology
    from bench.scenario.model import Scenario
    from bench.scenario.templates import Choice


@click.command()
@click.argument("scenario", type=click.Path())
@click.option(
    "--arrivals", type=click.IntRange(0, 1_000_000), default=5, show_default=True, help="How many to list."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Use this seed instead of the scenario's.")
@click.option("--quick", is_flag=True, help="Plan the quick form.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option("--stack", "stack_named", metavar="FILE", help="Of which the scenario names the targets.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    scenario: str,
    arrivals: int,
    seed: int | None,
    quick: bool,
    overrides: tuple[str, ...],
    stack_named: str | None,
    as_json: bool,
) -> None:
    """Print the plan of SCENARIO, a file or a name: phases, rates, first arrivals, digest.

    Equal digests mean that two runs offered the same load: the same requests at the same times.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.plan.compile import compile_plan
    from bench.results.layout import as_json as json_text
    from bench.scenario.load import discover
    from bench.scenario.rules.lint import hints_before_a_run

    found = [Path(scenario)] if Path(scenario).is_dir() else discover([scenario])
    loaded = load_for(named_stack(stack_named, found), found[0], overrides, quick)
    plan = compile_plan(loaded.scenario, seed)
    hints = hints_before_a_run(loaded.scenario, loaded.rules, quick=quick)
    document = describe(plan, arrivals, loaded.scenario, hints, loaded.topology)
    if as_json:
        say(json_text(asdict(document)), newline=False)
    else:
        say(text_of(document))


@dataclass(frozen=True)
class ArrivalEntry:
    """One planned arrival; None for what a closed loop, or an operation without keys, does not know."""

    planned_ns: int | None
    operation: str
    key: int | None
    parameters: dict[str, Choice]


@dataclass(frozen=True)
class WorkloadEntry:
    """One workload and its first arrivals."""

    name: str
    target: str
    driver: str
    engine: str
    lanes: int
    threads: int
    arrivals: str
    rate_per_s: float | None
    expected_arrivals: float | None
    operations: list[str]
    first: list[ArrivalEntry]
    requests: dict[str, str]
    """Of operations with steps, and of the log-in: what they are counted as, and what is asked."""
    steps: dict[str, int]
    """How many there are in setup, teardown and on each new connection, where there are any."""


@dataclass(frozen=True)
class FaultEntry:
    """One fault at its seeded time."""

    number: int
    kind: str
    target: str
    at_ns: int
    for_ns: int | None
    settings: Mapping[str, object]
    client: str | None = None
    """The service on whose way to the target it acts; None: on the way of the load, or on the target."""


@dataclass(frozen=True)
class PlanDocument:
    """A plan as `bench plan` prints it; times in ns from run zero."""

    scenario: str
    seed: int
    digest: str
    duration_ns: int
    phases: tuple[PhasePlan, ...]
    workloads: list[WorkloadEntry]
    faults: list[FaultEntry]
    hints: list[str]


def describe(
    plan: Plan,
    arrivals: int,
    scenario: Scenario | None = None,
    hints: Sequence[str] = (),
    topology: Topology | None = None,
) -> PlanDocument:
    """The plan, so many arrivals of each workload, and the faults of its scenario; topology: of its stack."""
    return PlanDocument(
        plan.name,
        plan.seed,
        plan.digest,
        plan.duration_ns,
        plan.phases,
        [_workload(workload, arrivals) for workload in plan.workloads],
        _faults(scenario, plan.seed, topology) if scenario and scenario.disturbs else [],
        list(hints),
    )


def _faults(scenario: Scenario, seed: int, topology: Topology | None) -> list[FaultEntry]:
    from chaos.schedule import planned

    return [
        FaultEntry(
            fault.number, fault.kind, fault.target, fault.at_ns, fault.for_ns, fault.settings, fault.client
        )
        for fault in planned(scenario, seed, topology)
    ]


def _workload(plan: WorkloadPlan, count: int) -> WorkloadEntry:
    from bench.plan.walk import first_arrivals
    from bench.registry import DRIVERS, STEPS

    workload, names = plan.workload, plan.program.names
    # A user's own program decides what comes next.
    first = first_arrivals(plan, plan.seed, 0 if DRIVERS[workload.driver].asks_by_itself else count)
    return WorkloadEntry(
        name=workload.name,
        target=workload.target,
        driver=workload.driver,
        engine=workload.engine,
        lanes=workload.lanes,
        threads=workload.threads,
        arrivals=workload.arrivals,
        rate_per_s=workload.rate_per_s,
        expected_arrivals=None if plan.is_closed else round(plan.expected_arrivals, 3),
        operations=list(names),
        steps={key: len(steps) for key in STEPS if (steps := getattr(workload, key))},
        first=[
            ArrivalEntry(
                None if planned < 0 else int(planned),
                names[operation],
                None if key < 0 else int(key) + workload.first_key,
                _parameters(plan, int(index)),
            )
            for planned, operation, key, index in zip(
                first.planned_ns, first.operation, first.key, first.index, strict=True
            )
        ],
        requests={
            name: f"{request.method} {request.path}"
            for name, request in workload.requests.items()
            if OF in name
        },
    )


def _parameters(plan: WorkloadPlan, index: int) -> dict[str, Choice]:
    """What arrival `index` has for each parameter, and for the columns of feeds that operations need."""
    import numpy as np

    from bench.engine.wire.render import write_letters
    from bench.plan.draws import draw
    from bench.scenario.templates import names_in

    found: dict[str, Choice] = {}
    for variable, (name, parameter) in enumerate(
        plan.workload.parameters.items(), plan.workload.keys is not None
    ):
        number = int(draw(plan.program.variables[variable], plan.seed, index))
        if parameter.text is not None:
            letters = np.empty(parameter.text, dtype=np.uint8)
            write_letters(letters, 0, parameter.text, number)
            found[name] = letters.tobytes().decode()
        else:
            choices = parameter.choices
            found[name] = choices[number] if choices else number + parameter.first
    used = set(
        names_in(json.dumps([one.model_dump(mode="json") for one in plan.workload.operations.values()]))
    )
    first = len(plan.program.variables) - len(plan.workload.feeds)
    for variable, (name, feed) in enumerate(plan.workload.feeds.items(), first):
        row = int(draw(plan.program.variables[variable], plan.seed, index))
        columns = {f"{name}.{column}": cells[row] for column, cells in feed.columns.items()}
        found |= {column: cell for column, cell in columns.items() if column in used}
    return found


def text_of(document: PlanDocument) -> str:
    """The plan for a reader, 80 columns."""
    lines = [f"{document.scenario}  seed {document.seed}  digest {document.digest[:16]}", ""]
    lines.append(f"{'phase':<16}{'from':>10}{'to':>10}{'load':>16}")
    for phase in document.phases:
        first, last = phase.load_from * 100, phase.load_to * 100
        load = f"{first:g} %" if first == last else f"{first:g} % to {last:g} %"
        name = phase.name + ("" if phase.measured else " (not measured)")
        if len(name) > 16:
            lines.append(name)
            name = ""
        lines.append(f"{name:<16}{phase.start_ns / 1e9:>8g} s{phase.end_ns / 1e9:>8g} s{load:>16}")
        if phase.cycles and phase.rest is not None:
            lines.append(f"  in {phase.cycles} cycles, the last {phase.rest * 100:g} % of each without load")
    for fault in document.faults:
        stays = "" if fault.for_ns is None else f", for {fault.for_ns / 1e9:g} s"
        what = f"{fault.kind} {path_name(fault.client, fault.target)}{stays}"
        lines.append(f"fault {fault.number:<4} {fault.at_ns / 1e9:>14.6f} s  {what}")
    for workload in document.workloads:
        lines += ["", *_workload_lines(workload)]
    for hint in document.hints:
        lines += ["", textwrap.fill(f"hint: {hint}", 80, subsequent_indent="  ")]
    return "\n".join(lines)


def _threads(workload: WorkloadEntry) -> str:
    """How the threads divide the load: nothing where there is one."""
    if workload.threads == 1:
        return ""
    shared = "each with its own" if workload.rate_per_s is None else "which share one queue"
    return f", {workload.threads} threads, {shared}"


def _workload_lines(workload: WorkloadEntry) -> list[str]:
    from bench.core.units import format_rate

    rate = "as fast as the lanes go" if workload.rate_per_s is None else format_rate(workload.rate_per_s)
    expected = workload.expected_arrivals
    lines = [
        f"{workload.name}: {workload.driver} on {workload.target}, engine {workload.engine}, "
        f"{workload.lanes} lanes{_threads(workload)}",
        f"  {workload.arrivals} arrivals, {rate}"
        + ("" if expected is None else f"  {spaced(expected)} expected in all"),
    ]
    if workload.steps:
        lines.append("  " + ", ".join(f"{key}: {count}" for key, count in workload.steps.items()) + " steps")
    lines += [f"  {name}: {asked}" for name, asked in workload.requests.items()]
    for number, arrival in enumerate(workload.first, start=1):
        at = "when a lane is free" if arrival.planned_ns is None else f"{arrival.planned_ns / 1e6:12.6f} ms"
        drawn = arrival.parameters or ({} if arrival.key is None else {"key": arrival.key})
        key = "".join(f"  {name} {value}" for name, value in drawn.items())
        lines.append(f"  {number:>4}  {at}  {arrival.operation}{key}")
    return lines
