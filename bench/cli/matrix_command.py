"""`bench matrix SCENARIO`: each way to a target, broken in each way, at the scenario's own load."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.output import DurationNs, NamedPath, say
from bench.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.matrix.cells import Cell, CellPlan
    from bench.matrix.record import CellRecord, MatrixRecord
    from bench.run.progress import Progress
    from bench.run.session import Session
    from bench.scenario.load import LoadedScenario
    from bench.stack.stack_file import StackFile

AROUND_NS = 4 * 10**9
"""What a cell takes beside its phases: self-measurement, connecting, reading."""
SHORTEST_NS, LONGEST_NS = 10**9, 60 * 10**9


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--stack",
    "stack_named",
    metavar="STACK",
    help="embedded, docker, compose, external (the default if a URL is set), or a stack file.",
)
@click.option(
    "--only", multiple=True, metavar="FAULT", help="slow, black_hole, refuse, reset, kill or exhausted."
)
@click.option(
    "--for", "fault_ns", type=DurationNs(), default="3s", show_default=True, help="How long each fault lasts."
)
@click.option(
    "--out",
    type=NamedPath(path_type=Path),
    default=Path("results/matrix"),
    show_default=True,
    help="Where the matrix and the runs of its cells are kept.",
)
@click.option("--seed", type=click.IntRange(0, 2**62), help="Use this seed instead of the scenario's.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the result as a JSON object; everything else goes to stderr.",
)
@click.option(
    "--markdown",
    type=NamedPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report in Markdown, too.",
)
def command(
    scenario: Path,
    stack_named: str | None,
    only: tuple[str, ...],
    fault_ns: int,
    out: Path,
    seed: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
    markdown: Path | None,
) -> int:
    """Break each way to a target of SCENARIO in each way, and table what the load sees.

    \b
    bench matrix api
    bench matrix api_load --only slow --only kill --for 5s
    bench matrix shop.yaml --stack staging.yaml

    The ways are those from the load to its targets, and from there to what they stand on (behind, in the
    stack file). A target may be named in place of a scenario: its load is that of NAME_load. Each cell is a
    run of about 15 s in the --out folder. Faults are made only where the stack allows them.

    \b
    Exit codes: 0 the load was served as before after each fault,
    1 it was not after some, 5 some could not be measured.
    """
    from bench.cli.session_opening import load_for, named_stack
    from bench.matrix.cells import CellPlan, cells_of, chosen, edges_of, expect_planned_arrivals
    from bench.run.progress import progress_for
    from bench.scenario.load import discover

    if not SHORTEST_NS <= fault_ns <= LONGEST_NS:
        raise UsageError("--for: expected 1 s to 60 s; a cell is a short run")
    conditions = chosen(only)
    paths = discover([_scenario_of(scenario)])
    if len(paths) != 1:
        raise UsageError(f"matrix: expected one scenario, found {len(paths)} in {scenario}; name one file")
    stack = named_stack(stack_named, paths)
    loaded = load_for(stack, paths[0], overrides)
    expect_planned_arrivals(loaded.scenario)
    edges = edges_of(loaded.scenario, loaded.topology)
    if not edges:
        raise UsageError(f"matrix: expected a workload with a target, found none in {paths[0]}")
    plan = CellPlan(loaded.scenario, fault_ns)
    matrix = _Matrix(loaded, stack, out, plan, seed, progress_for())
    matrix.run(cells_of(edges, conditions))
    return _reported(matrix, as_json, markdown)


def _scenario_of(named: Path) -> Path:
    """What is named, or the usual load of the target of that name."""
    from bench.core.errors import ScenarioError
    from bench.scenario.load import discover

    try:
        discover([named])
    except ScenarioError:
        usual = named.with_name(f"{named.name}_load")
        with contextlib.suppress(ScenarioError):
            return discover([usual])[0]
    return named


@dataclass
class _Matrix:
    """A matrix under way."""

    loaded: LoadedScenario
    stack: str | StackFile | None
    out: Path
    plan: CellPlan
    seed: int | None
    progress: Progress
    found: dict[Cell, CellRecord] = field(default_factory=dict)
    """What is known of each so far."""
    holdfast: str = ""
    file: Path = field(init=False)
    started_utc: str = field(init=False)

    def __post_init__(self) -> None:
        from bench.core.clock import WallLabel
        from bench.matrix.record import SUFFIX
        from bench.results.layout import run_name

        self.file = self.out / f"{run_name(self.loaded.scenario.scenario)}{SUFFIX}"
        self.started_utc = WallLabel.read().utc.isoformat()

    @property
    def record(self) -> MatrixRecord:
        """As it is kept."""
        from bench.matrix.record import MatrixRecord

        return MatrixRecord(
            holdfast=self.holdfast,
            scenario=self.loaded.scenario.scenario,
            started_utc=self.started_utc,
            fault_ns=self.plan.fault_ns,
            delay_ns=self.plan.delay_ns,
            cells=list(self.found.values()),
        )

    def run(self, cells: Sequence[Cell]) -> None:
        """Each cell's run. Raises what a run can."""
        from bench.cli.session_opening import open_session, stop_signals
        from bench.core.units import counted, format_duration_ns
        from bench.run.stop_request import StopRequest

        todo = self._possible(cells)
        each_ns = self.plan.duration_ns + AROUND_NS
        self.progress.step(
            f"{counted(len(todo), 'fault')} of {format_duration_ns(self.plan.fault_ns)} on the load of "
            f"{self.loaded.scenario.scenario}, about {format_duration_ns(len(todo) * each_ns)} in all"
        )
        stop = StopRequest()
        with stop_signals(stop):
            while todo:
                with open_session(
                    [one for _, one in todo], self.out, self.stack, self.progress, stop, seed=self.seed
                ) as session:
                    # What did not come back is started anew before the next cell.
                    while todo and self._measure(session, *todo.pop(0), len(todo)):
                        pass

    def _possible(self, cells: Sequence[Cell]) -> list[tuple[Cell, LoadedScenario]]:
        """The runs of those that the stack can have; the others are in the record with the reason."""
        from bench.cli.session_opening import load_for
        from bench.core.errors import ScenarioError
        from bench.matrix.record import empty_cell

        found = []
        for cell in cells:
            overrides = (*self.loaded.overrides, *self.plan.overrides(cell))
            try:
                found.append((cell, load_for(self.stack, self.loaded.path, overrides)))
                self.found[cell] = empty_cell(cell)
            except ScenarioError as error:
                first = error.problems[0]
                self.found[cell] = empty_cell(cell, f"expected {first.expected}, found {first.found}")
        return found

    def _measure(self, session: Session, cell: Cell, loaded: LoadedScenario, left: int) -> bool:
        """One run, kept in the record; whether the load was served as before in the end."""
        from bench.cli.session_opening import run_and_judge
        from bench.core.errors import ScenarioError, TargetError
        from bench.matrix.record import cell_of, empty_cell, save
        from bench.report.matrix import meaning
        from bench.run.progress import LiveLine

        self.progress.step(f"{cell.edge}, {cell.condition} ({left} more after it)")
        session.progress = LiveLine(self.progress) if self.holdfast else self.progress
        try:
            run, verdict = run_and_judge(session, loaded)
        except (TargetError, ScenarioError) as error:
            first = error.problems[0] if isinstance(error, ScenarioError) else error
            found = empty_cell(cell, f"expected {first.expected}, found {first.found}")
        else:
            self.holdfast = run.record.holdfast
            found = cell_of(cell, loaded.scenario, run, verdict)
        self.found[cell] = found
        save(self.record, self.file)
        self.progress.step(f"  {meaning(found)}")
        return found.is_back


def _reported(matrix: _Matrix, as_json: bool, markdown: Path | None) -> ExitCode:
    from bench.matrix.record import save
    from bench.report.matrix import render_markdown, render_text
    from bench.report.render.text import is_colourful
    from bench.results.layout import as_json as json_text

    record = matrix.record
    save(record, matrix.file)
    stream = sys.stderr if as_json else sys.stdout
    say(f"{render_text(record, stream.isatty() and is_colourful())}\n{matrix.file}", to=stream)
    if markdown is not None:
        from bench.cli.report_command import write_report

        write_report(markdown, render_markdown(record, matrix.file, markdown.parent))
    if as_json:
        say(json_text(record.model_dump()), newline=False)
    measured = [cell for cell in record.cells if cell.is_measured]
    if any(not cell.is_back for cell in measured):
        return ExitCode.SLA_FAILED
    is_known = measured and not any(cell.invalid for cell in record.cells)
    return ExitCode.OK if is_known else ExitCode.UNKNOWN
