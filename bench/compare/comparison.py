"""The comparison of two results folders: every scenario, every figure, every status.

What else the machine was busy with is a reason to be slow that is not the target's: it makes a
difference one that cannot be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.compare.baseline_runs import Candidate, Candidates, Form, notes, obstacles
from bench.compare.difference import (
    Difference,
    Estimate,
    Finding,
    Kind,
    Reading,
    StatusChange,
    Unknown,
    difference,
    status_changes,
)
from bench.compare.figures import figures
from bench.core import units
from bench.core.errors import ExitCode, ResultError
from bench.judge.machine_guards import CARRIED_OVER, LEAST_SHARE, starvation_of
from bench.judge.observation import Unmeasurable
from bench.judge.resources.growth import series_of, targets_of, times_of
from bench.judge.resources.measures import GENERATOR, MACHINE, cpu, machine_cores
from bench.results.reader import Run

MOST = 0.95
FULL = 0.95
"""Of a machine: nothing is left for who comes next, and how long that one waits no share of CPU says."""
CROWDED = 0.25
"""Others' part of a full machine from which on they are the reason."""
AFFECTED = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
"""The share of arrivals that must be late to move a percentile."""


@dataclass(frozen=True)
class HeldUp:
    """A run that waited for processors which others had."""

    share: float
    """Of the measured time."""
    sentence: str

    def explains(self, kind: Kind) -> bool:
        """Whether what waited can have moved a figure of this kind: a median needs more of it than a tail."""
        return self.share * CARRIED_OVER >= AFFECTED.get(kind.name, LEAST_SHARE)


def held_up(run: Run) -> HeldUp | None:
    """What others did to a run, by what it says of waiting; of an older run, by a machine that was full."""
    found = starvation_of(run)
    if found.share >= LEAST_SHARE:
        return HeldUp(found.share, found.sentence())
    says_who_waited = any(row.get("run_queue_worst_s") is not None for row in run.resources())
    busy, others = _shares(run)
    if others < CROWDED:
        return None
    if (pressure := cpu_pressure(run)) * others / busy >= LEAST_SHARE:
        said = f"something waited for a processor {units.format_ratio(pressure)} of the time"
        return HeldUp(
            pressure * others / busy, f"{said}, and others had {others * 100:.0f} % of this machine"
        )
    if says_who_waited or busy < FULL:
        return None
    return HeldUp(1.0, f"others had {others * 100:.0f} % of a machine that had nothing left")


def cpu_pressure(run: Run) -> float:
    """The share of the measured time in which some process of the machine was ready and had no processor.

    It is the kernel's pressure stall information, and knows of targets whose own waits cannot be read; 0
    where the run does not have it. Raises ResultError for a damaged run.
    """
    waited_s = 0.0
    rows = [row for row in run.resources() if row.get("source") == MACHINE]
    known = [(row["at_ns"], row.get("cpu_pressure_s")) for row in rows]
    for start_ns, end_ns in run.measured_spans:
        inside = [
            waited
            for at, waited in known
            if isinstance(at, float) and isinstance(waited, float) and start_ns <= at <= end_ns
        ]
        waited_s += max(inside[-1] - inside[0], 0.0) if inside else 0.0
    return min(waited_s / run.measured_s, 1.0) if run.measured_s else 0.0


def other_work(run: Run) -> float:
    """The share of the machine's CPU that neither generator nor targets used, up to 0.95; 0 where unknown.

    Unknown is also a target that was not sampled: what it used would count as others'. Raises ResultError
    for a damaged run.
    """
    return min(MOST, _shares(run)[1])


def _shares(run: Run) -> tuple[float, float]:
    """Of the machine's CPU: what was used, and what neither generator nor targets used; 0 where unknown."""
    try:
        times = times_of(run)
        used = {
            source: cpu(series_of(run, source), times).cores_used
            for source in (MACHINE, GENERATOR, *targets_of(run))
        }
    except Unmeasurable:
        return 0.0, 0.0
    cores = machine_cores(run)
    if not cores:
        return 0.0, 0.0
    busy = used.pop(MACHINE)
    return busy / cores, max(0.0, (busy - sum(used.values())) / cores)


def slower_by(share: float) -> float:
    """How many times slower that alone can make something that needs the CPU: all of it against the rest."""
    return 1 / (1 - share)


BY_SPEED = ("response", "throughput", "end_to_end")
"""Figures that a generator without time to spare makes worse."""


@dataclass(frozen=True)
class Figure:
    """One figure of one scenario, compared."""

    metric: str
    kind: Kind
    difference: Difference


@dataclass(frozen=True)
class ScenarioComparison:
    """One scenario: the run now, the earlier runs it was compared with, and what came of it."""

    form: Form
    after: str
    path: str
    """The scenario's file, to run it again."""
    before: list[str]
    figures: list[Figure] = field(default_factory=list)
    statuses: list[StatusChange] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Earlier runs that were not used, and why."""
    notes: list[str] = field(default_factory=list)
    not_comparable: str | None = None

    @property
    def regressions(self) -> list[Figure | StatusChange]:
        """Status changes first, then figures."""
        found: list[Figure | StatusChange] = [
            one for one in self.statuses if one.finding is Finding.REGRESSION
        ]
        return found + [one for one in self.figures if one.difference.finding is Finding.REGRESSION]


@dataclass(frozen=True)
class Comparison:
    """Everything that was found; `threshold` 0.1 is 10 %."""

    threshold: float
    scenarios: list[ScenarioComparison]
    missing: list[Form]
    """Run before and not now."""
    new: list[Form]
    damaged: list[str]

    @property
    def regressions(self) -> int:
        """How many figures and rules became worse."""
        return sum(len(scenario.regressions) for scenario in self.scenarios)

    @property
    def not_compared(self) -> int:
        """How many scenarios that were run before are missing now, or cannot be compared."""
        return len(self.missing) + sum(bool(one.not_comparable) for one in self.scenarios)

    @property
    def exit_code(self) -> ExitCode:
        """1 for a regression; 5 where nothing could be shown, or a known scenario is left out; else 0."""
        if self.regressions:
            return ExitCode.SLA_FAILED
        if self.not_compared:
            return ExitCode.UNKNOWN
        known = any(
            one.difference.finding is not Finding.CANNOT_TELL
            for scenario in self.scenarios
            for one in scenario.figures
        )
        return ExitCode.OK if known else ExitCode.UNKNOWN


def compare(before: Candidates, after: Candidates, threshold: float, *, force: bool) -> Comparison:
    """Compare the newest run of every form in `after` with all its runs in `before`.

    With `force` also with runs whose conditions were others. Raises ResultError for a damaged run.
    """
    scenarios, new = [], []
    for form, found in after.by_form.items():
        # Where no earlier run has this form, those of other forms say why nothing is compared.
        earlier = {} if force else {form: before.by_form[form]} if form in before.by_form else {}
        earlier = earlier or {
            other: runs for other, runs in before.by_form.items() if other.scenario == form.scenario
        }
        if not earlier:
            _refuse_other_scenario(before, after)
            new.append(form)
            continue
        together = sorted((one for runs in earlier.values() for one in runs), key=lambda one: one.run.name)
        scenarios.append(_scenario(form, together, found, threshold, force=force))
    known = {form.scenario for form in [*new, *(one.form for one in scenarios if not one.before)]}
    missing = [
        form
        for form in before.by_form
        if not after.is_one_run and form not in after.by_form and form.scenario not in known
    ]
    return Comparison(threshold, scenarios, missing, new, [*before.damaged, *after.damaged])


def _refuse_other_scenario(before: Candidates, after: Candidates) -> None:
    """Two run folders of two scenarios are a slip of the hand, not a new scenario."""
    if before.is_one_run and after.is_one_run:
        names = [next(iter(found.by_form)).scenario for found in (before, after)]
        raise ResultError(
            f"{before.path}: expected a run of {names[1]} as in {after.path}, found one of {names[0]}; "
            "name two runs of one scenario"
        )


def _scenario(
    form: Form, earlier: Sequence[Candidate], now: Sequence[Candidate], threshold: float, *, force: bool
) -> ScenarioComparison:
    usable = [one for one in now if one.unusable is None]
    newest = (usable or now)[-1]
    run = newest.run
    path = run.record.scenario.path
    if not usable:
        return ScenarioComparison(form, run.name, path, [], not_comparable=newest.unusable)
    same, left_out, forced = [], [], []
    for one in earlier:
        if one.run.path.resolve() == run.path.resolve():
            continue
        if one.unusable:
            left_out.append(one.unusable)
            continue
        against = obstacles(one.run, run)
        if against and not force:
            left_out.append(f"{one.run.name}: {'; '.join(against)}")
            continue
        forced += against
        same.append(one)
    if not same:
        because = left_out[-1] if left_out else "there is no earlier run"
        return ScenarioComparison(form, run.name, path, [], left_out=left_out, not_comparable=because)
    found = _figures([one.run for one in same], run, threshold)
    by_metric = {figure.metric: figure.difference for figure in found}
    verdicts = [one.verdict for one in same]
    remarks = [*(f"compared all the same: {text}" for text in forced), *notes(same[-1].run, run)]
    return ScenarioComparison(
        form,
        run.name,
        path,
        before=[one.run.name for one in same],
        figures=found,
        statuses=status_changes(verdicts, newest.verdict, by_metric, threshold),
        left_out=left_out,
        notes=list(dict.fromkeys(remarks)),
    )


def _figures(before: Sequence[Run], after: Run, threshold: float) -> list[Figure]:
    earlier = [figures(run) for run in before]
    busy = set(after.record.generator.busy)
    # What is worse may be due to other work now; what is better, to other work then.
    others = {
        Finding.REGRESSION: other_work(after),
        Finding.IMPROVEMENT: min(other_work(run) for run in before),
    }
    waited = {Finding.REGRESSION: [held_up(after)], Finding.IMPROVEMENT: [held_up(run) for run in before]}
    found = []
    for metric, (kind, reading) in figures(after).items():
        known = [readings[metric][1] for readings in earlier if metric in readings]
        one = _difference(known, reading, kind, threshold)
        workload, *rest = metric.split(".")
        share = others.get(one.finding, 0.0) if kind.by_cpu else 0.0
        explained = [each for each in waited.get(one.finding, []) if each and each.explains(kind)]
        doubt = ""
        if one.finding is Finding.REGRESSION and workload in busy and set(rest) & set(BY_SPEED):
            doubt = "the generator was busy all the time: it may be the bottleneck"
        elif share and one.at_least <= slower_by(share):
            then = "took" if one.finding is Finding.REGRESSION else "had taken"
            doubt = (
                f"other work {then} {units.format_ratio(round(share, 2))} of this machine, "
                f"which alone can make it {slower_by(share):.2g} times slower"
            )
        elif kind.by_cpu and explained:
            doubt = f"the machine was busy: {explained[-1].sentence}"
        if doubt:
            one = replace(one, finding=Finding.CANNOT_TELL, because=doubt)
        found.append(Figure(metric, kind, one))
    return found


def _cannot_tell(because: str) -> Difference:
    return Difference(Finding.CANNOT_TELL, because=because)


def _difference(before: Sequence[Reading], after: Reading, kind: Kind, threshold: float) -> Difference:
    if isinstance(after, Unknown):
        return _cannot_tell(after.because)
    known = [one for one in before if isinstance(one, Estimate)]
    same = [one for one in known if one.basis == after.basis]
    if not same:
        if known:
            return _cannot_tell(f"it was read as {known[-1].basis} before, as {after.basis} now")
        reasons = [one.because for one in before if isinstance(one, Unknown)]
        return _cannot_tell(f"before: {reasons[-1]}" if reasons else "no earlier run has it")
    return difference(same, after, kind, threshold)
