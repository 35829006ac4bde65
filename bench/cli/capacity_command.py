"""`bench capacity SCENARIO`: the highest rate at which all its rules hold.

Probe after probe is an ordinary run; which rate is next, `bench.capacity.search` says. What is known is
written after each, so that a search that was stopped goes on with --resume.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.output import DurationNs, NamedPath, say, say_problem
from bench.core.errors import ExitCode, InterruptedRun, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.capacity.probes import Prober
    from bench.capacity.record import CapacityRecord, QuestionRecord
    from bench.capacity.search import Bounds, Ending, Probe
    from bench.run.progress import Progress
    from bench.run.session import Session
    from bench.run.stop_request import StopRequest
    from bench.scenario.load import LoadedScenario
    from bench.stack.stack_file import StackFile

AROUND_NS = 4 * 10**9
"""What a probe takes beside its phases: self-measurement, connecting, judging; more where data is loaded."""
USUAL_SHARE = 0.7
"""Of the most probes: about so many it usually takes."""
LONGEST_REST_S = 10.0


class Precision(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click
    """A percentage of a rate, as a ratio."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Click's hook."""
        from bench.core.units import Mismatch, ratio

        try:
            found = ratio(value)
        except Mismatch as problem:
            self.fail(f"{problem}; {problem.advice}", param, ctx)
        if not 0.005 <= found <= 0.5:
            self.fail(f'expected a percentage from 0.5 % to 50 %, found "{value}"', param, ctx)
        return found


class RatePerS(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic in some versions of click
    """A rate such as 5000/s, per second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Click's hook."""
        from bench.core.units import Mismatch, rate_per_s

        try:
            found = rate_per_s(value)
        except Mismatch as problem:
            self.fail(f"{problem}; {problem.advice}", param, ctx)
        if found <= 0:
            self.fail(f'expected a rate above 0, found "{value}"', param, ctx)
        return found


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--workload", metavar="NAME", help="Raise the rate of this workload only.")
@click.option(
    "--precision", type=Precision(), default="5%", show_default=True, help="How narrow the interval must be."
)
@click.option(
    "--stack",
    "stack_named",
    metavar="STACK",
    help="embedded, docker, compose, external (the default if a URL is set), or a stack file.",
)
@click.option(
    "--out",
    type=NamedPath(path_type=Path),
    default=Path("results/capacity"),
    show_default=True,
    help="Where the search and the runs of its probes are kept.",
)
@click.option("--seed", type=click.IntRange(0, 2**62), help="Use this seed instead of the scenario's.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value of the scenario."
)
@click.option(
    "--for",
    "measured_ns",
    type=DurationNs(),
    default="10s",
    show_default=True,
    help="Measure each probe so long; longer where its rules need more samples.",
)
@click.option("--max-rate", "highest_per_s", type=RatePerS(), help="Try no higher rate.")
@click.option(
    "--max-probes",
    "most_probes",
    type=click.IntRange(1, 100),
    default=15,
    show_default=True,
    help="Try at most so many rates.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with the newest search in the --out folder that was stopped."
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
    workload: str | None,
    precision: float,
    stack_named: str | None,
    out: Path,
    seed: int | None,
    overrides: tuple[str, ...],
    measured_ns: int,
    highest_per_s: float | None,
    most_probes: int,
    resume: bool,
    as_json: bool,
    markdown: Path | None,
) -> int:
    """Search the highest rate at which all rules of SCENARIO hold.

    \b
    bench capacity redis_latency
    bench capacity api.yaml --stack staging.yaml --max-rate 2000/s
    bench capacity api.yaml --resume

    The rates of all workloads are raised in proportion, or that of --workload. Each probe is a run in the
    --out folder; the result, its page and its curve are beside them.

    \b
    Exit codes: 0 found, 1 no rate satisfies all rules, 5 cannot tell.
    """
    from bench.capacity.probes import Prober, scaling_of
    from bench.capacity.search import Bounds
    from bench.cli.session_opening import load_for, named_stack
    from bench.run.progress import progress_for
    from bench.scenario.load import discover

    paths = discover([scenario])
    if len(paths) != 1:
        raise UsageError(f"capacity: expected one scenario, found {len(paths)} in {scenario}; name one file")
    stack = named_stack(stack_named, paths)
    loaded = load_for(stack, paths[0], overrides)
    prober = Prober(loaded.scenario, loaded.rules, scaling_of(loaded.scenario, workload), measured_ns)
    bounds = Bounds(
        prober.scaling.start_per_s,
        prober.lowest_per_s(),
        float("inf") if highest_per_s is None else highest_per_s,
        precision,
        most_probes,
    )
    question = _question(loaded, workload, stack_named, seed, measured_ns)
    search = _Search(loaded, stack, out, prober, bounds, progress_for())
    search.begin(question, resume=resume)
    try:
        search.go_on()
    except InterruptedRun:
        _say_how_to_resume(search, scenario, sys.argv)
        return ExitCode.INTERRUPTED
    return _reported(search, as_json, markdown)


def _question(
    loaded: LoadedScenario, workload: str | None, stack: str | None, seed: int | None, measured_ns: int
) -> QuestionRecord:
    from bench.capacity.record import QuestionRecord

    return QuestionRecord(
        path=str(loaded.path),
        digest=hashlib.sha256(loaded.source_text.encode()).hexdigest(),
        workload=workload,
        overrides=list(loaded.overrides),
        stack=stack,
        seed=loaded.scenario.seed if seed is None else seed,
        measured_ns=measured_ns,
    )


@dataclass
class _Search:
    """A search under way."""

    loaded: LoadedScenario
    stack: str | StackFile | None
    out: Path
    prober: Prober
    bounds: Bounds
    progress: Progress
    record: CapacityRecord = field(init=False)
    file: Path = field(init=False)

    def begin(self, question: QuestionRecord, *, resume: bool) -> None:
        """A new search, or the one that was stopped. Raises UsageError where there is none to continue."""
        from bench.capacity.record import SUFFIX, CapacityRecord, save
        from bench.core.clock import WallLabel
        from bench.results.layout import run_name

        scenario = self.loaded.scenario
        if resume:
            self.file, self.record = _stopped(self.out, scenario.scenario, question)
            said = f"going on with {self.file.name}, after {len(self.record.probes)} probes"
            self.progress.step(said)
            return
        self.file = self.out / f"{run_name(scenario.scenario)}{SUFFIX}"
        self.record = CapacityRecord(
            scenario=scenario.scenario,
            started_utc=WallLabel.read().utc.isoformat(),
            precision=self.bounds.precision,
            own_per_s=dict(self.prober.scaling.own_per_s),
            drivers={one.name: one.driver for one in scenario.workloads},
            question=question,
        )
        save(self.record, self.file)

    def go_on(self) -> None:
        """Probe until there is nothing left to try. Raises what a run can."""
        from bench.capacity.search import Ending, next_step
        from bench.cli.session_opening import open_session, stop_signals
        from bench.run.stop_request import StopRequest

        stop = StopRequest()
        self._say_what_comes()
        asked_too_much: set[int | None] = set()
        with stop_signals(stop):
            while not isinstance(step := next_step(self.record.trials, self.bounds), Ending):
                # Services that we start are started anew after a rate that they could not take.
                with open_session([self.loaded], self.out, self.stack, self.progress, stop) as session:
                    processes = {one.pid for one in session.stack.describe()}
                    if asked_too_much & processes:
                        self._rest(stop)
                    while not isinstance(step, Ending):
                        self._probe(session, step)
                        step = next_step(self.record.trials, self.bounds)
                        if self.record.probes[-1].reading != "held":
                            asked_too_much = processes
                            break
        self._end(step)

    def _probe(self, session: Session, step: Probe) -> None:
        from bench.capacity.readings import probe_of
        from bench.capacity.record import save, with_findings
        from bench.cli.session_opening import load_for, run_and_judge
        from bench.report.capacity.sections import after_a_probe
        from bench.run.progress import LiveLine

        plan = self.prober.plan(step.rate_per_s, step.longer)
        overrides = (*self.loaded.overrides, *plan.overrides)
        loaded = load_for(self.stack, self.loaded.path, overrides)
        # Each has arrivals of its own, so that two of one rate are two measurements.
        session.seed = self.record.question.seed + len(self.record.probes)
        session.progress = self.progress if not self.record.probes else LiveLine(self.progress)
        run, verdict = run_and_judge(session, loaded)
        probe = probe_of(run, verdict, self.record.question.workload, step, plan)
        probes = [*self.record.probes, probe]
        facts = {"holdfast": run.record.holdfast, "environment": dict(run.record.environment.key)}
        changed = self.record.model_copy(update={"probes": probes, **facts})
        self.record = with_findings(changed, self.bounds)
        save(self.record, self.file)
        self.progress.step(after_a_probe(self.record, self.bounds, plan.duration_ns + AROUND_NS))

    def _rest(self, stop: StopRequest) -> None:
        """Let processes that were asked for too much finish what they have, before they are asked again."""
        deadline_s = max(one.deadline_ns for one in self.loaded.scenario.workloads) / 1e9
        rest_s = min(deadline_s, LONGEST_REST_S)
        self.progress.step(f"resting {rest_s:.0f} s, so that no queue is left over")
        if stop.wait(rest_s):
            raise InterruptedRun("interrupted between two probes")

    def _end(self, ending: Ending) -> None:
        from bench.capacity.readings import with_limit
        from bench.capacity.record import ENDED, save
        from bench.report.capacity import page

        rate = self.record.rate_per_s
        unmet = [] if rate is None else self.prober.unmet(rate)
        self.record = with_limit(self.record, ending, unmet).model_copy(update={"state": ENDED})
        save(self.record, self.file)
        page.save(self.record, self.file)

    def _say_what_comes(self) -> None:
        from bench.core.units import counted, format_duration_ns, format_rate

        left = self.bounds.most_probes - len(self.record.probes)
        each_ns = self.prober.plan(self.bounds.start_per_s).duration_ns + AROUND_NS
        most, usual = format_duration_ns(left * each_ns), format_duration_ns(USUAL_SHARE * left * each_ns)
        self.progress.step(
            f"searching the capacity of {self.record.scenario} from {format_rate(self.bounds.start_per_s)}: "
            f"at most {counted(left, 'probe')} of about {format_duration_ns(each_ns)}, "
            f"{most} in all, usually {usual}"
        )


def _stopped(out: Path, scenario: str, question: QuestionRecord) -> tuple[Path, CapacityRecord]:
    """The newest search of a scenario in a folder that has not ended. Raises UsageError."""
    from bench.capacity.record import SUFFIX, load

    for file in sorted(out.glob(f"*{SUFFIX}"), reverse=True):
        record = load(file)
        if record.scenario != scenario or record.is_ended:
            continue
        differs = [
            name
            for name in type(question).model_fields
            if getattr(question, name) != getattr(record.question, name)
        ]
        if differs:
            raise UsageError(
                f"--resume: expected the question of {file}, found another {', '.join(differs)}; "
                "repeat its options, or search anew without --resume"
            )
        return file, record
    raise UsageError(
        f"--resume: expected a search of {scenario} in {out} that was stopped, found none; "
        "begin one without --resume"
    )


def _say_how_to_resume(search: _Search, scenario: Path, arguments: Sequence[str]) -> None:
    import shlex

    given = [one for one in arguments[1:] if one != "--resume"]
    command = shlex.join(
        ["bench", *given, "--resume"] if given else ["bench", "capacity", str(scenario), "--resume"]
    )
    done = len(search.record.probes)
    say_problem(
        f"bench: interrupted after {done} probes, which are kept in {search.out}; go on with {command}"
    )


def _reported(search: _Search, as_json: bool, markdown: Path | None) -> ExitCode:
    from bench.capacity.record import PAGE_SUFFIX, SUFFIX
    from bench.capacity.search import Ending
    from bench.report.capacity import sections
    from bench.report.render.text import is_colourful, is_unicode
    from bench.results.layout import as_json as json_text

    record = search.record
    stream = sys.stderr if as_json else sys.stdout
    colour = stream.isatty() and is_colourful()
    text = sections.render_text(record, colour, unicode=is_unicode(stream))
    page = search.file.with_name(search.file.name.removesuffix(SUFFIX) + PAGE_SUFFIX)
    say(f"{text}\n{page}", to=stream)
    if markdown is not None:
        from bench.cli.report_command import write_report

        write_report(markdown, sections.render_markdown(record, search.file, markdown.parent))
    if as_json:
        say(json_text(record.contract()), newline=False)
    if record.unmet or record.ending == Ending.LOWEST:
        return ExitCode.SLA_FAILED
    is_found = record.first_failing_per_s is not None or record.ending in sections.OPEN
    return ExitCode.OK if record.rate_per_s is not None and is_found else ExitCode.UNKNOWN
