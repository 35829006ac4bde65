"""Which run speaks for a scenario, and what must be said along with it.

The newest complete run in standard form that is not too old; where there is none, the newest quick one. A
newer quick run takes its place only when it FAILs, so that a score never hides a FAIL. Runs with --set
answer another question: they speak only where nothing else does, and are marked. An interrupted run
speaks for nothing.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bench.assess.sources import Damaged, FoundRuns, ScenarioFile, ScenarioFiles, changes_since, started_ns
from bench.assess.status import age, listed
from bench.core import units
from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.judge.verdict import Check, Status, Verdict
from bench.results.reader import Run

REPORT = "report.html"
STALE = "stale"
MISSHAPEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What judging a record raises whose parts are not what they should be."""


@dataclass(frozen=True)
class Caveat:
    """Something to know about a piece of evidence."""

    word: str
    """For a cell of a table: "quick"."""
    text: str
    warns: bool = True
    """Whether the recommendation can be READY WITH WARNINGS at most because of it."""


@dataclass(frozen=True)
class Evidence:
    """The run that speaks for a scenario."""

    scenario: str
    run: Run
    verdict: Verdict
    """By the run's own rules, judged anew."""
    started_ns: int
    age_ns: int
    is_stale: bool
    marks: tuple[Caveat, ...]

    @property
    def is_quick(self) -> bool:
        """Whether the run was made with --quick."""
        return self.run.record.plan.quick

    @property
    def form(self) -> str:
        """ "standard", "quick" or "changed by --set"."""
        if self.run.record.plan.overrides:
            return "quick, changed by --set" if self.is_quick else "changed by --set"
        return "quick" if self.is_quick else "standard"

    def within(self, max_age_ns: int) -> "Evidence":
        """The same for what asks for a run of at most this age."""
        others = tuple(mark for mark in self.marks if mark.word != STALE)
        stale = _stale(self.age_ns, max_age_ns)
        marks = (*others, stale) if stale else others
        return replace(self, is_stale=stale is not None, marks=marks)

    @property
    def flaw(self) -> Check | None:
        """What keeps the run as a whole from being judged, INVALID first; None for a sound run."""
        doubts = (Status.INVALID, Status.INCONCLUSIVE)
        flaws = [one for one in self.verdict.checks if not one.is_rule and one.status in doubts]
        return max(flaws, key=lambda one: one.status, default=None)

    @property
    def is_void(self) -> bool:
        """Whether the run says nothing at all."""
        return self.flaw is not None and self.flaw.status is Status.INVALID

    @property
    def shown(self) -> Path:
        """What a link leads to: the run's page, where it has one."""
        page = self.run.path / REPORT
        return page if page.exists() else self.run.path


class MissingEvidence(NamedTuple):
    """Why no run speaks for a scenario, and what to do."""

    because: str
    todo: str


@dataclass(frozen=True)
class EvidenceSet:
    """All that speaks, and all that does not."""

    by_scenario: dict[str, Evidence]
    silent: dict[str, MissingEvidence]
    remarks: tuple[str, ...]
    """What was passed over, and why."""
    damaged: tuple[Damaged, ...]

    def within(self, max_age_ns: int) -> "EvidenceSet":
        """The same for what asks for runs of at most this age."""
        aged = {name: one.within(max_age_ns) for name, one in self.by_scenario.items()}
        return replace(self, by_scenario=aged)

    def silence_of(self, scenario: str) -> MissingEvidence:
        """Why there is nothing from a scenario that does not speak."""
        return self.silent.get(scenario) or MissingEvidence(
            f"there is no scenario {scenario} and no run of it", "add the scenario, then run it"
        )


def gather(
    found: FoundRuns, files: ScenarioFiles, wanted: Mapping[str, int], now_ns: int, default_max_age_ns: int
) -> EvidenceSet:
    """Choose the evidence for every scenario that is wanted, has a file, or has a run.

    `wanted`: how old a run of each scenario may be, in ns; of the others `default_max_age_ns`.
    """
    names = dict.fromkeys([*wanted, *files.by_name, *(run.scenario for run in reversed(found.runs))])
    by_scenario: dict[str, Evidence] = {}
    silent: dict[str, MissingEvidence] = {}
    remarks: list[str] = []
    damaged = list(found.damaged)
    for name in names:
        runs = [run for run in found.runs if run.scenario == name]
        max_age_ns = wanted.get(name, default_max_age_ns)
        chosen = _chosen(runs, now_ns, max_age_ns, damaged)
        file = files.by_name.get(name)
        if chosen is None:
            silent[name] = _silence(name, runs, file, damaged)
            continue
        run, verdict = chosen
        by_scenario[name] = _evidence(name, run, verdict, file, now_ns, max_age_ns)
        remarks += _passed_over(run, runs)
    return EvidenceSet(by_scenario, silent, tuple(remarks), tuple(damaged))


def command_for(scenario: str, file: ScenarioFile | None) -> str:
    """What to type for a standard run of a scenario."""
    if file is None:
        return f"run scenario {scenario}, whose file is not in the folder"
    return shlex.join(["bench", "run", file.path])


def _chosen(
    runs: list[Run], now_ns: int, max_age_ns: int, damaged: list[Damaged]
) -> tuple[Run, Verdict] | None:
    """The run that speaks, with its verdict; runs that turn out damaged go to `damaged`."""
    complete = [run for run in runs if run.is_complete]
    while complete:
        pool = [run for run in complete if not run.record.plan.overrides] or complete
        fresh = [run for run in pool if now_ns - started_ns(run) <= max_age_ns]
        standard = [run for run in fresh if not run.record.plan.quick]
        best = (standard or fresh or pool)[0]
        for run in [*pool[: pool.index(best)], best]:  # the newest first
            try:
                verdict = judge(run)
            except (ResultError, *MISSHAPEN) as error:
                place = "" if isinstance(error, ResultError) else f"{run.path}: this run cannot be judged: "
                damaged.append(Damaged(run.path, f"{place}{error}"))
                complete.remove(run)
                break
            if run is best or verdict.status is Status.FAIL:
                return run, verdict
    return None


def _silence(
    name: str, runs: list[Run], file: ScenarioFile | None, damaged: list[Damaged]
) -> MissingEvidence:
    todo = command_for(name, file)
    if runs and any(not run.is_complete for run in runs):
        return MissingEvidence(f"the only run of {name} was interrupted: {runs[0].name}", todo)
    if any(name == one.scenario for one in damaged):
        return MissingEvidence(f"the only run of {name} is damaged", todo)
    return MissingEvidence(f"there is no run of {name}", todo)


def _evidence(
    name: str, run: Run, verdict: Verdict, file: ScenarioFile | None, now_ns: int, max_age_ns: int
) -> Evidence:
    began_ns = started_ns(run)
    age_ns = now_ns - began_ns
    stale = _stale(age_ns, max_age_ns)
    marks = [*_form_marks(run), *_file_marks(run, file), *([stale] if stale else [])]
    if age_ns < 0:
        marks.append(Caveat("dated in the future", "its date lies in the future: compare the clocks"))
    return Evidence(name, run, verdict, began_ns, age_ns, stale is not None, tuple(marks))


def _stale(age_ns: int, max_age_ns: int) -> Caveat | None:
    return Caveat(STALE, too_old(age_ns, max_age_ns)) if age_ns > max_age_ns else None


def too_old(age_ns: int, max_age_ns: int) -> str:
    """Why something that old does not count."""
    oldest = units.format_duration_ns(max_age_ns) if max_age_ns < units.NS["d"] * 2 else age(max_age_ns)
    return f"{age(age_ns)} old, where at most {oldest} counts"


def _form_marks(run: Run) -> list[Caveat]:
    marks = []
    if run.record.plan.quick:
        marks.append(
            Caveat("quick", "quick evidence: shortened phases, each fault once; good to see that it works")
        )
    if overrides := run.record.plan.overrides:
        marks.append(Caveat("changed by --set", f"made with --set {', '.join(overrides)}"))
    return marks


def _file_marks(run: Run, file: ScenarioFile | None) -> list[Caveat]:
    if file is None:
        return [Caveat("no scenario file", "its scenario file is not in the folder: was it taken away?")]
    marks = []
    if changed := changes_since(run, file):
        text = f"{os.fspath(file.path)} has changed since, in {listed(changed)}"
        marks.append(Caveat("scenario changed since", text))
    elif run.record.scenario.digest != file.digest:
        text = f"{file.path} has changed since, in comments or in what is judged only"
        marks.append(Caveat("rewritten since", text, warns=False))
    seed = file.seed if run.record.plan.seed is None else run.record.plan.seed
    if seed != file.seed:
        marks.append(Caveat(f"seed {seed}", f"made with seed {seed} instead of {file.seed}", warns=False))
    return marks


def _passed_over(chosen: Run, runs: list[Run]) -> list[str]:
    """The newer runs that do not speak, one sentence for each reason."""
    newer = runs[: runs.index(chosen)]
    said = []
    for run in newer:
        if not run.is_complete:
            said.append(f"{run.name} is newer, but was interrupted")
        elif overrides := run.record.plan.overrides:
            if not chosen.record.plan.overrides:
                said.append(f"{run.name} is newer, but was made with --set {', '.join(overrides)}")
        elif run.record.plan.quick and not chosen.record.plan.quick:
            said.append(f"{run.name} is newer, but quick")
    return said
