"""What the runs of probes showed: each for itself, and together what limits the rate and what is full first.

The rules decide, by the run's own verdict. In addition the target must have kept up: where much less was
ended than was planned in the measured time, a queue grew, and a longer run would have broken the rules.
A run that says nothing about the target (INVALID) or cannot tell (INCONCLUSIVE) is neither.
"""

from collections.abc import Sequence

import numpy as np

from bench.capacity.probes import ProbePlan
from bench.capacity.record import CapacityRecord, ProbeRecord
from bench.capacity.search import Ending, Probe, Reading
from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.outcome import OUTCOMES
from bench.core.units import format_ratio
from bench.judge.observation import Unmeasurable, tally_of
from bench.judge.resources.growth import Series, series_of, targets_of, times_of
from bench.judge.resources.measures import GENERATOR, MACHINE, Cpu, cpu
from bench.judge.verdict import Check, Status, Verdict
from bench.results.reader import Run

BEHIND = 0.02
"""Of the planned arrivals: where more had not ended with the measured time, the target fell behind."""
LEAST_IDLE = 0.1
"""With less time to spare the generator is what an INVALID run is about."""
OF_THE_GENERATOR = frozenset({"validity.generator_saturated", "validity.own_limit"})
ONE_CORE = 1.05
"""Up to so many cores a single process is measured by one: most servers of one process work in one thread."""
LANES, POOL = "lanes", "pool"
BACKLOG = "backlog"
"""What limits a rate at which all rules hold and a queue grows."""


def probe_of(run: Run, verdict: Verdict, workload: str | None, asked: Probe, plan: ProbePlan) -> ProbeRecord:
    """What the run of a probe showed; response times of one workload, or of all. Raises ResultError."""
    reading, because, limited_by = _reading(run, verdict)
    tally = tally_of(run, () if workload is None else (workload,))
    response, service = run.histogram("response", workload), run.histogram("service", workload)
    measured_s = max(run.measured_s, 1e-9)
    return ProbeRecord(
        rate_per_s=asked.rate_per_s,
        run=run.name,
        status=verdict.status.name,
        reading=reading.value,
        because=because,
        limited_by=limited_by,
        measured_ns=run.record.measured_ns,
        offered_per_s=round(tally.planned / measured_s, 3),
        done_per_s=round(tally.ok / measured_s, 3),
        p50_ns=_percentile_ns(response, 50),
        p95_ns=_percentile_ns(response, 95),
        p99_ns=_percentile_ns(response, 99),
        service_p50_ns=_percentile_ns(service, 50),
        in_use=_in_use(run),
        left_out={one.rule: one.because for one in plan.left_out},
    )


def _percentile_ns(counts: Counts, percent: float) -> int | None:
    return histogram.percentile_ns(counts, percent) if counts.any() else None


def _reading(run: Run, verdict: Verdict) -> tuple[Reading, str, str | None]:
    """How the rate came out, why, and what limits it."""
    if verdict.status is Status.INVALID:
        found = _of(verdict, Status.INVALID)
        is_generator = any(check.metric in OF_THE_GENERATOR for check in found)
        idle = run.record.generator.idle_ratio
        if is_generator or (idle is not None and idle < LEAST_IDLE):
            return Reading.GENERATOR, found[0].because, None
        return Reading.UNDECIDED, found[0].because, None
    if broken := _of(verdict, Status.FAIL):
        first = broken[0]
        return Reading.BROKE, first.because, first.rule if first.is_rule else first.metric
    behind = _behind(run)
    if behind > BEHIND and run.record.resources.others is None:
        return Reading.BROKE, f"a queue grew: {format_ratio(behind)} of the arrivals had not ended", BACKLOG
    if unknown := _of(verdict, Status.INCONCLUSIVE):
        return Reading.UNDECIDED, unknown[0].because, None
    return Reading.HELD, "", None


def _of(verdict: Verdict, status: Status) -> list[Check]:
    """The checks with this status, findings about the run first."""
    return [check for check in verdict.checks if check.status is status]


def _behind(run: Run) -> float:
    """The share of the planned arrivals by which the queue grew in the measured time; of all workloads the
    highest.
    """
    phases = _measured(run)
    ended: dict[str, float] = {}
    for row in run.series():
        if row.get("phase") in phases:
            of = str(row.get("workload"))
            counts = (row.get(outcome.label) for outcome in OUTCOMES)
            ended[of] = ended.get(of, 0.0) + sum(count for count in counts if isinstance(count, float))
    shares = [0.0]
    for entry in run.workloads:
        planned = tally_of(run, (entry.name,)).planned
        if planned and not entry.is_closed and entry.name in ended:
            # What is under way at any moment is no queue.
            shares.append((planned - ended[entry.name] - entry.lanes * entry.pipeline) / planned)
    return max(shares)


def _in_use(run: Run) -> dict[str, float]:
    times = times_of(run)
    found: dict[str, float] = {}
    for source in (*targets_of(run), MACHINE):
        try:
            series = series_of(run, source)
            use = cpu(series, times)
        except Unmeasurable:
            continue
        found[f"{source}.cpu"] = round(use.share if source == MACHINE else _of_allowance(run, series, use), 4)
    for entry in run.workloads:
        service = run.histogram("service", entry.name)
        if service.any() and entry.lanes and entry.engine != "client":
            busy_ns = histogram.mean_ns(service) * int(service.sum())
            share = busy_ns / (entry.lanes * entry.pipeline * max(run.measured_s, 1e-9) * NS_PER_S)
            found[f"{entry.name}.{LANES}"] = round(min(share, 1.0), 4)
    for name, pool in run.record.pool.items():
        if pool.utilization_mean is not None:
            found[f"{name}.{POOL}"] = round(pool.utilization_mean, 4)
    phases = _measured(run)
    idle = [row.get("generator_idle_ratio") for row in run.series() if row.get("phase") in phases]
    known = [one for one in idle if isinstance(one, float)]
    if known:
        found[GENERATOR] = round(1 - sum(known) / len(known), 4)
    return found


def _measured(run: Run) -> set[str]:
    return {phase.name for phase in run.record.phases if phase.measured}


def _of_allowance(run: Run, series: Series, use: Cpu) -> float:
    """CPU as a share of what the source can use: of one core where it works in one thread."""
    cores = use.cores
    target = next((one for one in run.record.stack.targets if one.name == series.source), None)
    threads = (target.settings.get("io-threads") or "1") if target is not None else "1"
    _, processes = series.known("processes")
    is_single = bool(len(processes)) and float(np.max(processes)) == 1 and use.cores_used <= ONE_CORE
    is_redis = target is not None and target.kind == "redis" and threads == "1"
    if is_redis or is_single:
        cores = min(cores, 1.0)
    return min(use.cores_used / cores, 1.0)


FULL = 0.9
"""From such a share in use on a resource is full: what comes at random waits for it."""
SLOWER = 1.5
"""Times the service time at the lowest rate: beyond it lanes are full because the target is slow."""
FEWEST_FOR_A_KNEE = 3


def with_limit(record: CapacityRecord, ending: Ending, unmet: list[str]) -> CapacityRecord:
    """The record of a search that has ended, with what limits the rate."""
    return record.model_copy(
        update={
            "ending": ending.value,
            "limited_by": _limited_by(record, ending),
            "saturated": _saturated(record, ending),
            "knee_per_s": knee_per_s(record.probes),
            "unmet": unmet if record.rate_per_s is not None else [],
        }
    )


def by_rate(probes: Sequence[ProbeRecord]) -> list[ProbeRecord]:
    """The probes from the lowest rate to the highest."""
    return sorted(probes, key=lambda probe: probe.rate_per_s)


def knee_per_s(probes: Sequence[ProbeRecord]) -> float | None:
    """The rate with the most throughput for its P95 (Kleinrock's power, ICC 1979): beyond it a little more
    throughput costs much more time. None of too few rates.
    """
    known = [
        (probe.done_per_s / probe.p95_ns, probe.rate_per_s)
        for probe in by_rate(probes)
        if probe.p95_ns and probe.found in (Reading.HELD, Reading.BROKE)
    ]
    if len({rate for _, rate in known}) < FEWEST_FOR_A_KNEE:
        return None
    return max(known)[1]


def _limited_by(record: CapacityRecord, ending: Ending) -> str | None:
    first = record.first_failing_per_s
    if first is None:
        if record.rate_per_s is None and ending is not Ending.GENERATOR:
            broke = next((probe for probe in by_rate(record.probes) if probe.found is Reading.BROKE), None)
            return broke.limited_by if broke is not None else None
        return None if ending is Ending.UNDECIDED else ending.value
    at_first = [one for one in record.probes if one.rate_per_s == first and one.found is Reading.BROKE]
    return at_first[0].limited_by


def _saturated(record: CapacityRecord, ending: Ending) -> str | None:
    """What is full at the lowest rate at which something is, up to the first rate that does not hold."""
    end, probes = record.first_failing_per_s, by_rate(record.probes)
    if end is None and ending is not Ending.GENERATOR:
        return None
    # What was full at the lowest rate already is not full because of the rate: others use the machine.
    before = {name for name, share in probes[0].in_use.items() if share >= FULL} if len(probes) > 1 else set()
    for probe in probes:
        if end is not None and probe.rate_per_s > end:
            break
        full = {name: share for name, share in probe.in_use.items() if share >= FULL and name not in before}
        if _is_slower(probe, probes[0]):
            full = {name: share for name, share in full.items() if not name.endswith((LANES, POOL))}
        if full:
            # A target before what it shares with others: the machine is full because something on it is.
            return max(full, key=lambda name: (name not in ("machine.cpu", GENERATOR), full[name]))
    return GENERATOR if ending is Ending.GENERATOR and end is None else None


def _is_slower(probe: ProbeRecord, lowest: ProbeRecord) -> bool:
    if probe.service_p50_ns is None or lowest.service_p50_ns is None:
        return False
    return probe.service_p50_ns > SLOWER * lowest.service_p50_ns
