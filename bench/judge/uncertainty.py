"""How sure an achieved value is: an interval, and by which method.

Where the judge has bounds (slopes) they are taken. Else each kind of metric has its method, and what
has none says so. `METHODS` describes them for the page's reader. Some methods judge a run cut down: to
some of its faults, or to a tenth of its measured time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.units import spaced
from bench.judge.measures import LATENCIES, observe
from bench.judge.observation import KNOWN, Unmeasurable
from bench.judge.resources.growth import SHARE, by_memory, growth, measured_offsets
from bench.judge.resources.series import Series, Times, series_of, times_of
from bench.judge.sampled_intervals import (
    mean_interval,
    percentile_interval,
    share_interval,
    throughput_interval,
)
from bench.judge.verdict import Check
from bench.results.reader import Run
from bench.results.run_record import PhaseRecord
from bench.scenario.rules.grammar import Metric, Rule
from bench.scenario.rules.metric_facts import BY_NAME


def with_faults(run: Run, numbers: Collection[int]) -> Run:
    """The same run as if only these faults had been made."""
    record = run.record
    sections = {
        "faults": [fault for fault in record.faults if fault.number in numbers],
        "recoveries": [recovery for recovery in record.recoveries if recovery.fault in numbers],
        "detections": [detection for detection in record.detections if detection.fault in numbers],
    }
    return Run(run.path, record.model_copy(update=sections))


def tenths(run: Run, pieces: int = 10) -> list[Run]:
    """The run's measured phases in pieces of equal length, whole cycles where a phase has them.

    Fewer pieces where a phase has fewer cycles. Each piece has its samples of resources, no counts.
    """
    phases = [phase for phase in run.record.phases if phase.measured]
    if not phases:
        return []
    longest = max(phases, key=lambda phase: phase.end_ns - phase.start_ns)
    return [
        Run(run.path, run.record.model_copy(update={"phases": [piece]})) for piece in _cut(longest, pieces)
    ]


def _cut(phase: PhaseRecord, pieces: int) -> list[PhaseRecord]:
    start, length = phase.start_ns, phase.end_ns - phase.start_ns
    cycles = phase.cycles or 0
    pieces = min(pieces, cycles) if cycles else pieces
    edges = [cycles * number // pieces for number in range(pieces + 1)] if cycles else range(pieces + 1)
    whole = cycles or pieces
    return [
        phase.model_copy(
            update={
                "start_ns": start + length * first // whole,
                "end_ns": start + length * last // whole,
                "cycles": (last - first) if cycles else None,
            }
        )
        for first, last in pairwise(edges)
    ]


LEAST_SLICES = 5


def cpu_spread(run: Run, metric: Metric) -> tuple[float, float] | None:
    """The least and the greatest share of ten slices of the longest measured phase."""
    shares = []
    for piece in tenths(run):
        try:
            shares.append(observe(piece, metric).value)
        except Unmeasurable:
            continue
    return (min(shares), max(shares)) if len(shares) >= LEAST_SLICES else None


def memory_growth_spread(run: Run, metric: Metric) -> tuple[float, float] | None:
    """Lowest minus highest and highest minus lowest sample of the last and the first tenth, in bytes."""
    if not metric.scope:
        return None
    try:
        series, times = series_of(run, metric.scope[0]), times_of(run)
        bounds, _ = by_memory(series, lambda column: _extremes(series, times, column))
    except Unmeasurable:
        return None
    return bounds


def _extremes(series: Series, times: Times, column: str) -> tuple[float, float]:
    growth(series, times, column)  # refuses the column that the judge refuses
    at_ns, values = series.known(column)
    offsets, inside = measured_offsets(at_ns, times)
    measured = values[inside]
    first = measured[offsets < SHARE * times.measured_ns]
    last = measured[offsets >= (1 - SHARE) * times.measured_ns]
    if not len(first) or not len(last):
        message = "no samples at the beginning or at the end"
        raise Unmeasurable(message, "measure longer")
    return float(last.min() - first.max()), float(last.max() - first.min())


METHODS = {
    "slices of time": "Percentiles: the measured time is cut into up to 30 slices, and how much the share of "
    "samples below the value differs between them gives the 95 % interval of that share, read back at "
    "the histogram (Woodruff 1952). No distribution is assumed, and samples of one slice may depend "
    "on each other.",
    "independent samples": "Percentiles of a run with fewer than 10 windows: the same with samples taken as "
    "independent, which makes the interval too narrow where they are not.",
    "batch means": "Throughput and means: by how much the slices differ, with Student's t (95 %).",
    "Wilson": "Shares: Wilson's interval (95 %), for as many samples as the slices say they are worth.",
    "rule of three": "Nothing found in n: the true share may be up to 3/n (95 %).",
    "repeats": "Repeated faults: the least and the greatest of n; up to 1 - 0.05^(1/n) of further ones may "
    "be worse than the worst of them (95 %).",
    "ten slices": "CPU: the least and the greatest of ten slices of the measured time.",
    "extremes": "Memory growth: from the lowest and highest samples of the first and the last tenth.",
    "counted": "Counts: every case was looked at, so for this run the number is exact.",
    "bootstrap": "Slopes: 98 % bounds by a moving-block bootstrap (the judge's own).",
}
"""Name of a method -> what it is, for the reader of the page."""
COUNTS = frozenset(
    {"lost_messages", "duplicate_messages", "reordered_messages", "lost_writes", "unexpected_values"}
)
COUNTED = COUNTS | {"dropped", "leaked_connections", "false_alarms", "fd_growth"}
"""Metrics for which every single case was looked at."""
SLOPES = frozenset({"memory_slope"})
SHARE_BEYOND = 0.05


@dataclass(frozen=True)
class Uncertainty:
    """The bounds of an achieved value in the unit of its metric, None where there is none on that side.

    `text` says it in words; `method` names an entry of METHODS, None where there is no interval.
    """

    low: float | None
    high: float | None
    text: str
    method: str | None


def uncertainty(run: Run, rule: Rule, check: Check) -> Uncertainty:
    """How sure the observed value of a check is. Raises ResultError for a damaged run."""
    if check.observed is None:
        return _none("nothing was observed")
    name = rule.metric.name
    if name in SLOPES and check.interval is not None:
        return _between(*check.interval, rule.unit, "bootstrap")
    if name in LATENCIES:
        return _percentile(run, rule.metric)
    if name in COUNTS:
        return _zero_of(check.observed, check.samples)
    if name in PER_FAULT:
        return _repeats(run, rule.metric)
    method = OTHERS.get(name)
    return method(run, rule) if method else _none(REASONS.get(name, "one value, without an interval"))


def interval_of(run: Run, rule: Rule, check: Check) -> tuple[tuple[float, float] | None, str | None]:
    """The bounds of the observed value of a check, and the method; None where there are no two bounds.

    Raises ResultError for a damaged run.
    """
    if check.observed is None:
        return None, None
    found = uncertainty(run, rule, check)
    if found.low is not None and found.high is not None:
        return (found.low, found.high), found.method
    if rule.metric.name in COUNTED:
        return (check.observed, check.observed), "counted"
    return None, None


REASONS = {
    "leaked_connections": "counted at the end, not sampled",
    "pool_utilization": "the highest that was seen",
    "fd_growth": "counted at the beginning and at the end",
    "breaker_open_time": "one value, to the pace of the probe",
    "dropped": "counted, not sampled",
}
PER_FAULT = frozenset(name for name, metric in BY_NAME.items() if metric.per_repeat)


def _percentile(run: Run, metric: Metric) -> Uncertainty:
    if metric.stat == "mean" and (bounds := mean_interval(run, metric)) is not None:
        return _between(*bounds, "ns", "batch means")
    percent = 95.0 if metric.stat is None else metric.percent
    if percent is None:
        return _none(f"the {metric.stat} has no interval here")
    low, high, is_by_slices = percentile_interval(run, metric, percent)
    return _between(low, high, "ns", "slices of time" if is_by_slices else "independent samples")


def _errors(run: Run, rule: Rule) -> Uncertainty:
    failed, planned, low, high = share_interval(run, rule.metric)
    if failed == 0:
        return Uncertainty(0, high, f"up to {units.format_ratio(high)}, 0 of {planned}", "rule of three")
    return _between(low, high, "ratio", "Wilson")


def _throughput(run: Run, rule: Rule) -> Uncertainty:
    bounds = throughput_interval(run, rule.metric)
    if bounds is None:
        return _none("too few windows")
    return _between(*bounds, "per_s", "batch means")


def _availability(run: Run, rule: Rule) -> Uncertainty:
    """Projected from each fault by itself: the spread of what one interruption would mean."""
    if "incidents" not in rule.metric.arguments:
        return _none("the worst window of the run")
    values = []
    for fault in run.record.faults:
        try:
            values.append(observe(with_faults(run, {fault.number}), rule.metric).value)
        except Unmeasurable:
            continue
    return _range(values, "ratio")


def _cpu(run: Run, rule: Rule) -> Uncertainty:
    bounds = cpu_spread(run, rule.metric)
    return _between(*bounds, "ratio", "ten slices") if bounds else _none("too few samples for slices")


def _memory_growth(run: Run, rule: Rule) -> Uncertainty:
    bounds = memory_growth_spread(run, rule.metric)
    return _between(*bounds, "bytes", "extremes") if bounds else _none("of the target that grew most")


def _false_alarms(run: Run, rule: Rule) -> Uncertainty:  # noqa: ARG001 - the signature of every method
    watched_s = float(run.record.duration_ns) / NS_PER_S
    alarms = len(run.record.false_alarms)
    if alarms or not watched_s:
        return _none("counted")
    return Uncertainty(
        0,
        None,
        f"0 in {watched_s:.0f} s: up to {3600 * 3 / watched_s:.0f} an hour are possible",
        "rule of three",
    )


OTHERS: dict[str, Callable[[Run, Rule], Uncertainty]] = {
    "errors": _errors,
    "throughput": _throughput,
    "availability": _availability,
    "cpu": _cpu,
    "memory_growth": _memory_growth,
    "false_alarms": _false_alarms,
}


def _repeats(run: Run, metric: Metric) -> Uncertainty:
    repeats = observe(run, metric).repeats or ()
    if any(repeat.kind != KNOWN for repeat in repeats):
        return _none("not every recovery was seen to its end")
    return _range([repeat.value for repeat in repeats], "ns")


def _range(values: list[float], unit: str) -> Uncertainty:
    if not values:
        return _none("no repeats")
    worse = units.format_ratio(1 - SHARE_BEYOND ** (1 / len(values)))
    low, high = min(values), max(values)
    between = (
        f"{units.format_quantity(low, unit)} to {units.format_quantity(high, unit)} in {len(values)} faults"
    )
    if len(values) == 1:
        return _none("one fault: says nothing about further ones")
    return Uncertainty(low, high, f"{between}; up to {worse} of further ones may be worse", "repeats")


def _zero_of(observed: float, samples: int | None) -> Uncertainty:
    if observed or not samples:
        return _none("counted")
    bound = units.format_ratio(3 / samples)
    return Uncertainty(0, None, f"0 of {spaced(samples)}: up to {bound} is possible", "rule of three")


def _between(low: float, high: float, unit: str, method: str) -> Uncertainty:
    text = f"{units.format_quantity(low, unit)} to {units.format_quantity(high, unit)}"
    return Uncertainty(low, high, text, method)


def _none(reason: str) -> Uncertainty:
    return Uncertainty(None, None, reason, None)
