"""What a session finds in its own results: outages, and anomalies such as a saturated generator. Pure.

An open plan was kept if its arrivals were sent as planned. If they were not, the reason is the target
(its lanes were busy or disconnected) as long as the generator still had idle time; a generator that
never idled cannot tell. In a closed loop the generator may be busy all the time, but the time in the
lanes must add up (Little's law): throughput x mean service time = busy lanes. A gap is time that no
histogram holds.

A cache that never has the key and an API that redirects everything to its login page are fast. Nothing
fails then, so the run carries a note. Pure.

A fault of the run explains the outages that it made; those that nothing explains are news: the target
went away by itself, or was touched from outside. Found in series.csv, so that every run has them, with or
without a log of single arrivals; their edges are known to the length of a window. The edges of
recoveries, from single arrivals, are finer.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from bench.core.answers import Answers
from bench.core.outcome import Outcome
from bench.core.units import often, spaced
from bench.engine.api import LEAST_CLIENT_IDLE_RATIO, Engine, EngineResult
from bench.plan.pacing import P_DURATION_NS
from bench.plan.plan import Plan
from bench.registry import kind_of_answers
from bench.results.fault_records import OutageRecord
from bench.results.generator_records import GeneratorRecord
from bench.results.load_records import WorkloadRecord
from bench.results.run_record import Anomaly, RunRecord
from bench.scenario.fault_kinds import PASSIVE_KINDS, REMEDIES
from bench.scenario.workloads import Workload

LEAST_IDLE_RATIO = 0.02
LEAST_KEPT_RATIO = 0.99
"""An open plan counts as kept when this share of it was sent."""

LONGEST_LAG_NS = 1_000_000
"""A plan whose median arrival is sent later than this was not kept either."""

LITTLE_TOLERANCE = 0.03


def saturation(
    plan: Plan, results: list[tuple[Engine, EngineResult]]
) -> tuple[GeneratorRecord, list[Anomaly]]:
    """The record's `generator` section, and the anomalies of the generator."""
    closed = [(engine, result) for engine, result in results if engine.plan.is_closed]
    busy = [engine.plan.name for engine, result in closed if _was_busy(engine, result)]
    ratios = {
        engine.plan.name: ratio
        for engine, result in closed
        if (ratio := _lane_time_ratio(plan, engine, result)) is not None
    }
    overloads = [
        anomaly
        for engine, result in results
        for number, phase in enumerate(plan.phases)
        if phase.measured and not engine.plan.is_closed and (anomaly := _overload(engine, result, number))
    ]
    gaps = [
        anomaly
        for engine, result in closed
        if engine.plan.name in ratios
        and (anomaly := _unseen_time(plan, engine, result, ratios[engine.plan.name]))
    ]
    generator = GeneratorRecord(
        idle_ratio=round(float(min((result.idle_ratio for _, result in results), default=1.0)), 4),
        saturated=bool(overloads),
        busy=busy,
        run_delay_ns=max((int(result.run_delay_ns) for _, result in results), default=0),
    )
    if ratios:
        law = {name: round(ratio, 4) for name, ratio in ratios.items()}
        generator = generator.model_copy(update={"littles_law": law})
    return generator, [*overloads, *gaps]


def _overload(engine: Engine, result: EngineResult, phase: int) -> Anomaly | None:
    """An anomaly when the generator had no time left in a phase whose plan it did not keep."""
    idle = result.phase_idle_ratios[phase] if result.phase_idle_ratios else _idle_ratio(engine, result)
    least = LEAST_CLIENT_IDLE_RATIO if engine.plan.workload.engine == "client" else LEAST_IDLE_RATIO
    kept = kept_ratio(engine, result, phase)
    lag_ns = (result.phase_lag_p50_ns[phase] if result.phase_lag_p50_ns else None) or 0
    if idle >= least or (kept >= LEAST_KEPT_RATIO and lag_ns <= LONGEST_LAG_NS):
        return None
    return Anomaly(
        code="generator_saturated",
        severity="invalid",
        message=f"{engine.plan.name}: the generator was idle {idle * 100:.1f} % of the time, sent "
        f"{kept * 100:.1f} % of the plan, half of it more than {lag_ns / 1e6:.1f} ms late: "
        "it was the bottleneck, not the target",
        advice="lower the rate, add threads, or free the machine of other work",
    )


def _was_busy(engine: Engine, result: EngineResult) -> bool:
    """Whether it never had time to spare: a broken limit may then be its own doing, which the judge asks."""
    least = LEAST_CLIENT_IDLE_RATIO if engine.plan.workload.engine == "locust" else LEAST_IDLE_RATIO
    return _idle_ratio(engine, result) < least


def _lane_time_ratio(plan: Plan, engine: Engine, result: EngineResult) -> float | None:
    """Time in operations of that of all lanes: 1 by Little's law. None where it is not known."""
    if result.busy_ns is None or not result.tallies.any():
        return None
    workload = engine.plan.workload
    return float(result.busy_ns / (plan.load_ns * workload.lanes * workload.pipeline))


def _unseen_time(plan: Plan, engine: Engine, result: EngineResult, ratio: float) -> Anomaly | None:
    """An anomaly for time of the lanes that no histogram holds."""
    assert result.busy_ns is not None
    # What is under way when a rest begins ends within it: once on each lane, for a service time each.
    into_rests = _rests(plan) * result.busy_ns / max(int(result.tallies.sum()), 1) / plan.load_ns
    if abs(ratio - 1) <= LITTLE_TOLERANCE + into_rests:
        return None
    lost = result.counters.get("lost_connections")
    reason = (
        f"connections were lost {often(lost)}, and a closed loop asks for nothing while its lanes are away"
        if lost
        else "time was spent that no histogram holds"
    )
    return Anomaly(
        code="littles_law",
        severity="inconclusive",
        message=f"{engine.plan.name}: throughput x mean service time is {ratio:.3f} of the busy lanes: "
        f"{reason}",
        advice="measure an outage with planned arrivals (arrivals: poisson and a rate)"
        if lost
        else "look at the generator's idle time",
    )


def _idle_ratio(engine: Engine, result: EngineResult) -> float:
    """Share of the time under load, without rests, in which the generator had nothing to do."""
    load_ns, whole_ns = engine.plan.phase_load_ns.sum(), engine.plan.pacing[:, P_DURATION_NS].sum()
    return float(max(0.0, 1 - (1 - result.idle_ratio) * whole_ns / load_ns))


def _rests(plan: Plan) -> int:
    return sum(phase.cycles or 0 for phase in plan.phases)


def kept_ratio(engine: Engine, result: EngineResult, phase: int) -> float:
    """Share of the arrivals planned in a phase that were sent at all."""
    names = engine.plan.program.names
    rows = [phase * len(names) + number for number, name in enumerate(names) if engine.plan.is_planned(name)]
    planned = int(result.taken[rows].sum())
    unsent = int(result.tallies[rows][:, [Outcome.REFUSED, Outcome.DROPPED]].sum())
    return 1.0 if planned == 0 else max(0.0, (planned - unsent) / planned)


NEARLY_ALL = 0.95
AT_LEAST = 20
"""Fewer answers are no pattern."""


def notes_on_answers(plan: Plan, workloads: list[WorkloadRecord]) -> list[Anomaly]:
    """A note for each workload with operations whose answers were, nearly all, empty or not 2xx."""
    notes = []
    for planned, record in zip(plan.workloads, workloads, strict=True):
        answers = {name: _answers(record, name) for name in record.operations}
        for code, text, advice in (
            _misses(planned.workload, answers),
            _unwanted(planned.workload, answers),
        ):
            if text:
                message = f"{planned.name}: {text}"
                notes.append(Anomaly(code=code, severity="note", message=message, advice=advice))
    return notes


def _answers(record: WorkloadRecord, operation: str) -> Answers:
    return Answers.total(count.answers for count in record.counts if count.operation == operation)


def _misses(workload: Workload, answers: dict[str, Answers]) -> tuple[str, str, str]:
    """Operations that looked for what was not there."""
    parts = []
    for name, one in answers.items():
        if one.lookups >= AT_LEAST and one.misses >= NEARLY_ALL * one.lookups:
            parts.append(f"{spaced(one.misses)} of {spaced(one.lookups)} of {name}")
    if not parts:
        return "", "", ""
    if kind_of_answers(workload.driver) == "rows":
        text = f"nearly all statements touched no row: {', '.join(parts)}"
        return "nothing_found", text, "look at the range of the parameters and at what the tables hold"
    text = f"nearly all lookups found nothing: {', '.join(parts)}; what was measured is a miss"
    advice = "write the keys first (keys: {preload: true}), or check their prefix and count"
    return "nothing_found", text, advice


def _unwanted(workload: Workload, answers: dict[str, Answers]) -> tuple[str, str, str]:
    """Operations without an expectation of their own, whose answers were not 2xx."""
    parts = []
    for name, one in answers.items():
        request = workload.requests.get(name)
        is_expected = request is not None and "status" in request.expect.model_fields_set
        others = one.answered - one.in_class("2xx")
        if one.answered >= AT_LEAST and others >= NEARLY_ALL * one.answered and not is_expected:
            statuses = sorted(one.statuses.items(), key=lambda item: -item[1])
            listed = ", ".join(f"{spaced(count)} were HTTP {status}" for status, count in statuses[:3])
            parts.append(f"{name}: {listed}")
    if not parts:
        return "", "", ""
    text = f"nearly all answers were not 2xx ({'; '.join(parts)})"
    if kind_of_answers(workload.driver) == "statuses" and any(
        one.in_class("3xx") for one in answers.values()
    ):
        text += "; redirects are not followed"
    return "not_2xx", text, "say what is expected, such as expect: {status: 200}, and check path and login"


FAULT, NOBODY = "fault", "nobody"
FAILURES = ("error", "timeout", "reset", "refused", "dropped")
BY_CHANCE = 0.001
"""How many rows of failures as long may be expected by chance, where some arrivals fail all the time."""
LEAST_FAILED = 3
STALL_RATIO, LEAST_STALL_NS = 4, 100_000_000
"""Without any failure: so many times the usual P99 without a success, while arrivals wait for an answer."""
DRAIN = "drain"
"""The phase of windows after the last one that was planned."""


@dataclass(frozen=True)
class Slice:
    """One window of one workload; counts of what ended in it."""

    start_ns: int
    end_ns: int
    planned: int
    ok: int
    failed: int
    in_flight: int
    connected: int | None
    """Lanes that had a connection at its end."""
    phase: str
    p99_ns: int | None


def outages_of(rows: Iterable[Mapping[str, Any]], record: RunRecord) -> list[OutageRecord]:
    """The section `outages` of run.json, in the order of time. `rows` are those of series.csv."""
    outages: list[OutageRecord] = []
    by_workload = groupby(
        sorted(rows, key=lambda row: str(row["workload"])), lambda row: str(row["workload"])
    )
    for workload, own in by_workload:
        slices = [_slice(row) for row in own]
        for stretch in stretches(sorted(slices, key=lambda one: one.start_ns)):
            since, until = stretch[0].start_ns, stretch[-1].end_ns
            fault = _fault(record, workload, since, until)
            outages.append(
                OutageRecord(
                    workload=workload,
                    from_ns=since,
                    until_ns=until,
                    planned=sum(part.planned for part in stretch),
                    failed=sum(part.failed for part in stretch),
                    whose=NOBODY if fault is None else FAULT,
                    fault=fault,
                    resolution_ns=max(part.end_ns - part.start_ns for part in stretch),
                )
            )
    return sorted(outages, key=lambda outage: (outage.from_ns, outage.workload))


def stretches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """The rows of windows without a success in which clients were failed, and not by chance."""
    ended = sum(one.ok + one.failed for one in slices)
    failed = sum(one.failed for one in slices)
    least = _least_failed(failed / ended if ended else 0.0, ended)
    usual = [one.p99_ns for one in slices if one.ok and one.p99_ns is not None]
    had_lanes = any(one.connected for one in slices)
    stall_ns = max(LEAST_STALL_NS, STALL_RATIO * median(usual) if usual else 0)
    for is_without, group in groupby(slices, lambda one: not one.ok):
        if not is_without:
            continue
        # Where nothing was asked for, before and after, nothing failed.
        row = list(group)
        asked = [place for place, one in enumerate(row) if _is_asked(one, had_lanes)]
        if not asked:
            continue
        row = row[asked[0] : asked[-1] + 1]
        waited = row[-1].end_ns - row[0].start_ns > stall_ns and len(asked) == len(row)
        if sum(one.failed for one in row) >= least or waited:
            yield row


def _is_asked(one: Slice, had_lanes: bool) -> bool:
    """Whether an arrival wanted an answer in it. While no lane has a connection arrivals wait unseen."""
    away = had_lanes and one.connected == 0 and one.phase != DRAIN
    return bool(one.planned or one.failed or one.in_flight or away)


def _least_failed(share: float, ended: int) -> int:
    if not 0 < share < 1:
        return LEAST_FAILED
    return max(LEAST_FAILED, math.ceil(math.log(BY_CHANCE / ended) / math.log(share)))


def _slice(row: Mapping[str, Any]) -> Slice:
    def number(name: str) -> int:
        return int(float(row.get(name) or 0))

    p99 = row.get("response_p99_ns")
    return Slice(
        number("start_ns"),
        number("end_ns"),
        number("planned"),
        number("ok"),
        sum(number(name) for name in FAILURES),
        number("in_flight"),
        number("connected") if row.get("connected") not in (None, "") else None,
        str(row.get("phase") or ""),
        int(float(p99)) if p99 not in (None, "") else None,
    )


def _fault(record: RunRecord, workload: str, since_ns: int, until_ns: int) -> int | None:
    """The fault that held, or whose harm was not over, in that time; the latest where several did."""
    target = next((entry.target for entry in record.workloads if entry.name == workload), "")
    recoveries = {entry.fault: entry for entry in record.recoveries if entry.workload == workload}
    number = None
    for fault in record.faults:
        if (
            fault.kind in (*PASSIVE_KINDS, *REMEDIES)
            or fault.asked_ns is None
            or not record.may_hit(fault, target)
        ):
            continue
        ends = [fault.asked_ns, fault.healed_ns or fault.returned_ns or 0]
        if fault.healed is False or fault.healed_ns is None:
            ends.append(record.duration_ns)
        if (recovery := recoveries.get(fault.number)) is not None:
            back = recovery.stable_ns or recovery.first_success_ns or recovery.until_ns
            ends.append(back if recovery.first_failure_ns is not None else 0)
        if fault.asked_ns < until_ns and since_ns <= max(ends):
            number = fault.number
    return number
