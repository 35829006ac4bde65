"""The verdict on a run: findings about the run as a whole, then each rule compared and doubted."""

from collections.abc import Iterator, Sequence

from bench.core.outcome import OUTCOMES
from bench.core.units import spaced
from bench.judge import wording
from bench.judge.faults.guards import FAULT_DOUBTS, fault_findings
from bench.judge.guards import DOUBTS
from bench.judge.machine_guards import MACHINE_DOUBTS, PROXY_DOUBTS, machine_excused
from bench.judge.measures import observe
from bench.judge.observation import Observation, Unmeasurable, tally_of
from bench.judge.shown import not_shown, shown
from bench.judge.sustained import observe_sustained
from bench.judge.uncertainty import interval_of
from bench.judge.verdict import Check, Status, Verdict, compared
from bench.results.reader import Run
from bench.scenario.rules.grammar import Rule, parse_rule

SEVERITIES = {"invalid": Status.INVALID, "fail": Status.FAIL, "inconclusive": Status.INCONCLUSIVE}
"""Of an anomaly; a `note` changes nothing."""

SUMS = "validity.sums"
"""The one finding that can be there several times, each with other numbers."""


def findings(run: Run) -> list[Check]:
    """Every reason not to judge this run, the worst first; none for a sound run. Raises ResultError."""
    found = [*_interruption(run), *_stop(run), *_generator(run), *_anomalies(run)]
    found += [_finding(*machine_excused(run, finding)) for finding in fault_findings(run)]
    # A run cut short cannot have whole sums: that would be said twice.
    if run.is_complete:
        found += [*_sums(run), *_log(run), *_arrivals(run)]
    # The session may have recorded the same as an anomaly, with more detail: its sentence stays.
    by_metric = {check.metric + check.because * (check.metric == SUMS): check for check in found}
    return sorted(by_metric.values(), key=lambda check: -check.status)


def _interruption(run: Run) -> Iterator[Check]:
    if not run.is_complete:
        yield _finding("interrupted", "the run was interrupted before its end", "run it again")


def _stop(run: Run) -> Iterator[Check]:
    """What was measured before is judged by its rules; of the rest of the plan the run says nothing."""
    if (stopped := run.record.stopped) is not None:
        yield _finding("stopped", stopped.sentence, "look at what it stopped for, then run it again")


def _generator(run: Run) -> Iterator[Check]:
    if run.record.generator.saturated:
        yield _finding(
            "generator_saturated",
            "the generator was the bottleneck: it could not keep to the plan",
            "lower the rate, add threads, or free the machine of other work",
        )


def _anomalies(run: Run) -> Iterator[Check]:
    for anomaly in run.anomalies:
        if (status := SEVERITIES.get(anomaly.severity)) is not None:
            yield _finding(anomaly.code, anomaly.message, anomaly.advice, status)


def _sums(run: Run) -> Iterator[Check]:
    """Every planned arrival ends in exactly one outcome, by operation and in total."""
    for entry in run.workloads:
        for count in entry.counts:
            ended = sum(count.outcomes.values())
            if ended != count.planned and run.arrives(entry.name, count.operation):
                where = f"{entry.name}.{count.operation} in phase {count.phase}"
                yield _broken_sum(f"{where}: {spaced(count.planned)} arrivals planned, {spaced(ended)} ended")
    counted = tally_of(run, measured=None)
    totals = run.record.totals
    assert totals is not None
    if totals.planned != counted.planned:
        yield _broken_sum(
            f"the total says {spaced(totals.planned)} arrivals, its parts add up to {spaced(counted.planned)}"
        )
    for label, ended in counted.outcomes.items():
        total = totals.outcomes.get(label, 0)
        if total != ended:
            yield _broken_sum(f"the total says {spaced(total)} {label}, its parts add up to {spaced(ended)}")


def _log(run: Run) -> Iterator[Check]:
    """Every measured arrival has its response time in the log."""
    for entry in run.workloads:
        operations = {count.operation: None for count in entry.counts}
        for operation in operations:
            if not run.arrives(entry.name, operation):
                continue
            tally = tally_of(run, (entry.name, operation))
            for outcome in OUTCOMES:
                label = outcome.label
                logged = int(run.histogram("response", entry.name, operation, (label,)).sum())
                if logged != tally.outcomes[label]:
                    yield _broken_sum(
                        f"{entry.name}.{operation}: "
                        f"{spaced(tally.outcomes[label])} arrivals ended {label}, "
                        f"{spaced(logged)} response times are in the log"
                    )


def _arrivals(run: Run) -> Iterator[Check]:
    if tally_of(run).planned == 0:
        yield _finding(
            "no_arrivals", "no arrival was planned in a measured phase", "measure longer or raise the rate"
        )


def no_rules() -> Check:
    """The finding for a run without any rule: nothing was asked, so nothing passed."""
    return _finding("no_rules", "there is no rule to judge", "add rules under sla:", Status.INCONCLUSIVE)


def _broken_sum(because: str) -> Check:
    return _finding("sums", because, "this is a bug in Holdfast: please report it with the run folder")


def _finding(code: str, because: str, advice: str | None, status: Status = Status.INVALID) -> Check:
    return Check(
        rule="the run is sound", metric=f"validity.{code}", status=status, because=because, advice=advice
    )


def judge(run: Run, rules: Sequence[Rule] | None = None) -> Verdict:
    """Judge `run` by `rules`, or by those it was made with. Raises ResultError for a damaged run.

    A rule that cannot be judged, for whatever reason, is INCONCLUSIVE: it never passes.
    """
    checks = findings(run)
    asked: Sequence[Rule | str] = run.rules if rules is None else rules
    checks += [_check(run, rule) for rule in asked]
    return Verdict(scenario=run.scenario, run=run.name, checks=tuple(checks or [no_rules()]))


def _check(run: Run, asked: Rule | str) -> Check:
    try:
        rule = parse_rule(asked) if isinstance(asked, str) else asked
    except ValueError as error:
        return _unreadable(str(asked), str(error))
    try:
        is_sustained = rule.sustained_ns is not None
        seen = observe_sustained(run, rule) if is_sustained else observe(run, rule.metric)
        check = _judged(run, rule, seen)
        interval, method = interval_of(run, rule, check)
        return check.model_copy(update={"interval": interval, "method": method})
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
    evidence = shown(run, rule, seen)
    if evidence is None:
        return _of(rule, seen, status, because, wording.advice(run, rule, seen, status))
    if (found := not_shown(run, status, evidence)) is not None:
        return _of(rule, seen, found.status, f"{because}; {found.because}", found.advice)
    because += f"; with 95 % confidence {evidence.bound}" if evidence.bound else ""
    return _of(rule, seen, status, because, wording.advice(run, rule, seen, status))


def _of(rule: Rule, seen: Observation | None, status: Status, because: str, advice: str | None) -> Check:
    return Check(
        rule=rule.text,
        metric=rule.subject,
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
        status=Status.INCONCLUSIVE,
        because=f"this version cannot read the rule: {why}",
        advice="judge the run with the version that made it, or with other rules (--sla)",
    )


def _whole(value: float) -> float:
    """Whole numbers as such: 10000000 reads better than 10000000.0."""
    return int(value) if float(value).is_integer() else float(value)
