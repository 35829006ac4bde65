"""The verdict on a run: findings about the run, then each rule compared and doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.judge import wording
from bench.judge.comparison import compared
from bench.judge.faults.guards import FAULT_DOUBTS
from bench.judge.guards import DOUBTS
from bench.judge.machine_guards import MACHINE_DOUBTS
from bench.judge.measures import observe
from bench.judge.observation import Observation, Unmeasurable
from bench.judge.proxy_guards import PROXY_DOUBTS
from bench.judge.status import Status
from bench.judge.validity import findings, no_rules
from bench.judge.verdict import Check, Verdict
from bench.scenario.rules.grammar import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.results.reader import Run


def judge(run: Run, rules: Sequence[Rule] | None = None) -> Verdict:
    """Judge `run` by `rules`, or by those it was made with. Raises ResultError for a damaged run.

    A rule that cannot be judged, for whatever reason, is INCONCLUSIVE: it never passes.
    """
    checks = findings(run)
    asked: Sequence[Rule | str] = run.rules if rules is None else rules
    checks += [_check(run, rule) for rule in asked]
    return Verdict(run.scenario, run.name, tuple(checks or [no_rules()]))


def _check(run: Run, asked: Rule | str) -> Check:
    try:
        rule = parse_rule(asked) if isinstance(asked, str) else asked
    except ValueError as error:
        return _unreadable(str(asked), str(error))
    try:
        seen = observe(run, rule.metric)
        return _judged(run, rule, seen)
    except Unmeasurable as found:
        return _of(rule, None, Status.INCONCLUSIVE, found.because, found.advice)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        because = f"the judge of this rule failed: {type(error).__name__}: {error}"
        advice = "this is a bug in Holdfast or a damaged run: please report it with the run folder"
        return _of(rule, None, Status.INCONCLUSIVE, because, advice)


def _judged(run: Run, rule: Rule, seen: Observation) -> Check:
    if seen.samples == 0:
        because = f"there are no samples of {rule.metric!s}"
        return _of(rule, seen, Status.INCONCLUSIVE, because, "measure longer, or look at the outcomes")
    status = compared(rule, seen.value)
    for doubt in (*MACHINE_DOUBTS, *FAULT_DOUBTS, *DOUBTS, *PROXY_DOUBTS):
        found = doubt(run, rule, seen, status)
        if found is not None:
            return _of(rule, seen, found.status, found.because, found.advice)
    because = wording.because(rule, seen, status)
    return _of(rule, seen, status, because, wording.advice(run, rule, seen, status))


def _of(rule: Rule, seen: Observation | None, status: Status, because: str, advice: str | None) -> Check:
    return Check(
        rule=rule.text,
        metric=str(rule.metric),
        observed=_whole(seen.value) if seen and seen.samples and not seen.never else None,
        unit=rule.unit,
        limit=_whole(rule.limit),
        warn=None if rule.warn is None else _whole(rule.warn),
        interval=seen.interval if seen else None,
        samples=seen.samples if seen else None,
        status=status,
        because=because,
        advice=advice,
    )


def _unreadable(text: str, why: str) -> Check:
    return Check(
        rule=text,
        metric="unknown",
        observed=None,
        unit=None,
        limit=None,
        warn=None,
        interval=None,
        samples=None,
        status=Status.INCONCLUSIVE,
        because=f"this version cannot read the rule: {why}",
        advice="judge the run with the version that made it, or with other rules (--sla)",
    )


def _whole(value: float) -> float:
    """Whole numbers as such: 10000000 reads better than 10000000.0."""
    return int(value) if float(value).is_integer() else float(value)
