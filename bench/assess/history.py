"""How each requirement stood over the runs of its scenarios, from the oldest of them that is looked at on.

After every run a requirement stands as the worst that the newest run of each of its scenarios showed until
then. A run counts by the verdict that is saved beside it, where that has the rule; else it is judged anew.
What documents and targets showed earlier is not kept anywhere: requirements without proofs have no history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.assess.evidence import MISSHAPEN
from bench.assess.matrix import RequirementResult
from bench.assess.sources import FoundRuns, started_ns
from bench.assess.status import RequirementStatus, status_of, worst
from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.judge.verdict import Status, Verdict, saved
from bench.results.reader import Run
from bench.scenario.rules.grammar import Rule

MOST_RUNS = 12
"""Of each scenario, the newest."""


@dataclass(frozen=True)
class Stand:
    """How a requirement stood from a run on."""

    started_ns: int
    run: str
    status: RequirementStatus


@dataclass(frozen=True)
class History:
    """A requirement's way, the oldest first."""

    met: RequirementResult
    stands: tuple[Stand, ...]

    @property
    def since_ns(self) -> int:
        """When it came to stand as it does."""
        last = self.stands[-1]
        same = [last]
        for stand in reversed(self.stands[:-1]):
            if stand.status is not last.status:
                break
            same.append(stand)
        return same[-1].started_ns


def histories(mets: Sequence[RequirementResult], found: FoundRuns) -> list[History]:
    """Those of the requirements that more than one run has something to say of."""
    rules: dict[str, dict[str, Rule]] = {}
    for met in mets:
        for row in met.rows:
            rules.setdefault(row.scenario, {})[row.rule.text] = row.rule
    shown = {
        (run.name, text): status
        for scenario, asked in rules.items()
        for run in _runs_of(scenario, found)
        for text, status in _statuses(run, asked).items()
    }
    ways = (History(met, tuple(_stands(met, found, shown))) for met in mets)
    return [way for way in ways if len(way.stands) > 1]


def _runs_of(scenario: str, found: FoundRuns) -> list[Run]:
    """Its newest whole runs whose values are those of the file, the newest first."""
    runs = [run for run in found.runs if run.scenario == scenario]
    return [run for run in runs if run.is_complete and not run.record.plan.overrides][:MOST_RUNS]


def _statuses(run: Run, asked: Mapping[str, Rule]) -> dict[str, RequirementStatus]:
    """How a run judges rules, by their text; none where it cannot be judged."""
    try:
        verdict = saved(run.path)
        if verdict is None or not set(asked) <= {check.rule for check in verdict.checks}:
            verdict = judge(run, list(asked.values()))
    except (ResultError, *MISSHAPEN):
        return {}
    is_void = any(check.status is Status.INVALID for check in verdict.checks if not check.is_rule)
    return {text: _status(verdict, text, is_void=is_void) for text in asked}


def _status(verdict: Verdict, text: str, *, is_void: bool) -> RequirementStatus:
    check = next((check for check in verdict.checks if check.rule == text), None)
    if is_void or check is None:
        return RequirementStatus.INVALID
    return status_of(check.status)


def _stands(
    met: RequirementResult, found: FoundRuns, shown: Mapping[tuple[str, str], RequirementStatus]
) -> list[Stand]:
    wanted = {(row.scenario, row.rule.text) for row in met.rows}
    runs = [run for scenario in {name for name, _ in wanted} for run in _runs_of(scenario, found)]
    now: dict[tuple[str, str], RequirementStatus] = {}
    stands = []
    for run in sorted(runs, key=lambda one: (started_ns(one), one.name)):
        for scenario, text in wanted:
            if scenario == run.scenario and (run.name, text) in shown:
                now[scenario, text] = shown[run.name, text]
        if len(now) == len(wanted):
            stood = RequirementResult(met.requirement, worst(now.values()), "", None)
            stands.append(Stand(started_ns(run), run.name, stood.counts_as))
    return stands[-MOST_RUNS:]
