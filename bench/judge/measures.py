"""What a run shows about a metric: the observed value, and how many samples are behind it.

Also the floors of this machine, as the run's calibration found them against a server of known delays.
Below its floor an observed time is mostly the cost of measuring.
"""

from collections.abc import Callable, Sequence

from bench.core import histogram
from bench.core.answers import STATUS_CLASSES, Answers
from bench.core.histogram import Counts
from bench.core.units import spaced
from bench.judge import closed_loop, external
from bench.judge.faults import measures
from bench.judge.faults import measures as fault_measures
from bench.judge.observation import Observation, Unmeasurable, tally_of
from bench.judge.resources import measures as resource_measures
from bench.registry import OF
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric

NOT_COUNTED = "it is counted by workloads whose driver has it, in runs of this version"


def answers_of(run: Run, scope: Sequence[str] = (), measured: bool | None = True) -> Answers:
    """What the answers of a workload, an operation or (empty scope) the run brought."""
    workload, operation = (*scope, None, None)[:2]
    return Answers.total(
        count.answers
        for entry in run.workloads_of(workload)
        for count in entry.counts
        if operation in (None, count.operation, count.operation.partition(OF)[0])
        and measured in (None, count.measured)
    )


def observe_lookups(run: Run, metric: Metric) -> Observation:
    """`hits`, `misses`, or `empty`: their share of all lookups, or of all statements."""
    found = answers_of(run, metric.scope)
    counted = found.hits if metric.name == "hits" else found.misses
    what = "statements touched no row" if metric.name == "empty" else "lookups found nothing"
    return _share(
        run, metric, counted, found.lookups, f"{spaced(found.misses)} of {spaced(found.lookups)} {what}"
    )


def observe_status(run: Run, metric: Metric) -> Observation:
    """`status.5xx`: the share of answers with a status of that class."""
    found = answers_of(run, metric.scope)
    listed = ", ".join(f"{spaced(count)} were {status}" for status, count in found.statuses.items())
    basis = f"of {spaced(found.answered)} answers {listed}"
    return _share(run, metric, found.in_class(metric.name.partition(".")[2]), found.answered, basis)


def _share(run: Run, metric: Metric, counted: int, of: int, basis: str) -> Observation:
    if not of and not answers_of(run, metric.scope[:1], measured=None):
        raise Unmeasurable(f"the run did not count {metric.name}", NOT_COUNTED)
    return Observation(counted / of if of else 0, "ratio", of, basis=basis)


ANSWER_MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    **dict.fromkeys(("hits", "misses", "empty"), observe_lookups),
    **{f"status.{name}": observe_status for name in STATUS_CLASSES},
}


LATENCIES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "response": ("response", None),
    "response_ok": ("response", ("ok",)),
    "service": ("service", None),
    "lag": ("lag", None),
    "pool_wait": ("pool_wait", None),
    "end_to_end": ("response", None),
}
"""Metric -> histogram kind, and the outcomes that count (None: all of them, charged as planned)."""

NETS = {"response": "net", "service": "service_net"}
"""Histogram kind -> the kind that holds the same times without the generator's own lateness."""
BY_TIME = frozenset({"response", "response_ok", "service"})
"""Metrics of a closed loop that its lanes' time may contradict."""
WITH_LATENESS = frozenset({"response", "lag"})
"""Kinds that hold lateness before the send. A service time begins with the send, a pool's wait before it."""

COUNTERS = ("lost_messages", "duplicate_messages", "reordered_messages", "leaked_connections", "redirects")


def observe(run: Run, metric: Metric) -> Observation:
    """What `run` measured for `metric`. Raises Unmeasurable, ResultError for a damaged run."""
    if metric.name in resource_measures.MEASURES:
        return resource_measures.MEASURES[metric.name](run, metric)
    if metric.name.startswith(external.PREFIX):
        return external.observe_query(run, metric)
    check_scope(run, metric)
    if (of_faults := fault_measures.measure_of(metric)) is not None:
        return of_faults(run, metric)
    if metric.name in LATENCIES:
        return _latency(run, metric)
    measure = MEASURES.get(metric.name)
    if measure is None:
        known = ", ".join(
            sorted({*LATENCIES, *MEASURES, *resource_measures.MEASURES, *fault_measures.MEASURES})
        )
        raise Unmeasurable(f"{metric.name} is no metric of this version", f"use one of {known}")
    return measure(run, metric)


def check_scope(run: Run, metric: Metric) -> None:
    """Raise Unmeasurable when the run has no such workload or operation."""
    if not metric.scope:
        return
    workload, *operations = metric.scope
    entries = {entry.name: entry for entry in run.workloads}
    if workload not in entries:
        known = ", ".join(entries) or "none"
        raise Unmeasurable(f"the run has no workload {workload}", f"its workloads are: {known}")
    known_operations = entries[workload].operations
    if operations and operations[0] not in known_operations:
        known = ", ".join(known_operations) or "none"
        raise Unmeasurable(
            f"workload {workload} has no operation {operations[0]}", f"its operations are: {known}"
        )


def statistic_ns(counts: Counts, stat: str) -> float:
    """The statistic "p95", "mean" or "max" of a histogram, in ns. Raises ValueError for no samples."""
    if stat == "mean":
        return histogram.mean_ns(counts)
    if stat == "max":
        return histogram.max_ns(counts)
    return histogram.percentile_ns(counts, percent_of(stat))


def percent_of(stat: str) -> float:
    """99.9 for "p99.9"."""
    return float(stat.removeprefix("p"))


def _latency(run: Run, metric: Metric) -> Observation:
    kind, outcomes = LATENCIES[metric.name]
    scopes: list[tuple[str | None, str | None]] = [(metric.workload, metric.operation)]
    if is_end_to_end := metric.name == "end_to_end":
        scopes = [*run.received(metric.workload)]
    counts = sum((run.histogram(kind, *scope, outcomes) for scope in scopes), histogram.empty())
    samples = int(counts.sum())
    if not samples:
        return Observation(0, "ns", 0, counts=counts)
    stat = metric.stat or "p95"
    net_ns, late = None, None
    net = histogram.empty()
    if kind in NETS:
        net += sum((run.histogram(NETS[kind], *scope, outcomes) for scope in scopes), histogram.empty())
    if int(net.sum()) == samples:  # else it is a run of an older version, or a kind that has none
        net_ns = statistic_ns(net, stat)
    elif kind in WITH_LATENESS:
        # The sender's lateness is in its delivery.
        senders = [(name, None) for name, _ in scopes] if is_end_to_end else scopes
        late = sum((run.histogram("late", *scope, outcomes) for scope in senders), histogram.empty())
    spent = None
    if metric.name in BY_TIME and stat != "max" and closed_loop.is_closed(run, metric):
        real = NETS[kind] if net_ns is not None else kind
        spent = closed_loop.lane_time(run, metric, real, lost=metric.name != "response_ok")
    value = statistic_ns(counts, stat)
    return Observation(value, "ns", samples, counts=counts, net=net_ns, late=late, lane_time=spent)


def _errors(run: Run, metric: Metric) -> Observation:
    tally = tally_of(run, metric.scope)
    failed = tally.planned - tally.ok
    ratio = failed / tally.planned if tally.planned else 0
    return Observation(ratio, "ratio", tally.planned, tally=tally)


def _throughput(run: Run, metric: Metric) -> Observation:
    """What was completed OK inside the measured phases, whatever phase it was planned in, per second.

    Counted by windows: work that was done after the measured time is no throughput of that time.
    """
    completed = sum(
        int(window.counts.sum())
        for window in run.windows("response")
        if window.tag.outcome == "ok"
        and run.arrives(window.tag.workload, window.tag.operation)
        and run.is_of(window.tag, metric.workload, metric.operation)
        and run.measured_phase_of(window) is not None
    )
    tally = tally_of(run, metric.scope)
    per_s = completed / run.measured_s if run.measured_s else 0
    return Observation(per_s, "per_s", tally.planned, tally=tally)


def _dropped(run: Run, metric: Metric) -> Observation:
    tally = tally_of(run, metric.scope)
    never_sent = tally.outcomes["dropped"] + tally.outcomes["refused"]
    return Observation(never_sent, "count", tally.planned, tally=tally)


def _availability(run: Run, metric: Metric) -> Observation:
    if "incidents" in metric.arguments:
        return fault_measures.projected_availability(run, metric)
    tally = tally_of(run, metric.scope)
    try:
        ratio = measures.observed(run, metric.scope, tally, metric.arguments)
    except measures.WindowTooLong as found:
        raise Unmeasurable(str(found), found.advice) from found
    return Observation(ratio, "ratio", tally.planned, tally=tally)


def _pool_utilization(run: Run, metric: Metric) -> Observation:
    pools = run.record.pool
    names = [entry.name for entry in run.workloads_of(metric.workload)]
    asked = [pools[name] for name in names if name in pools]
    highest = [pool.utilization_max for pool in asked if pool.utilization_max is not None]
    if not highest or len(highest) < len(asked):
        raise Unmeasurable("the run has no connection pool", "pools are measured with engine: client")
    value = max(highest)
    on_time = [pool.utilization_max_on_time for pool in asked if pool.utilization_max_on_time is not None]
    at_ns = next(pool.utilization_max_ns for pool in asked if pool.utilization_max == value)
    samples = tally_of(run, metric.scope).planned
    net = max(on_time) if len(on_time) == len(asked) else None
    return Observation(value, "ratio", samples, net=net, at_ns=at_ns)


def _counter(run: Run, metric: Metric) -> Observation:
    entries = run.workloads_of(metric.workload)
    found = [entry.counters[metric.name] for entry in entries if metric.name in entry.counters]
    if not found:
        raise Unmeasurable(
            f"the run did not count {metric.name}", "it is counted by the workloads that can produce it"
        )
    samples = tally_of(run, metric.scope).planned
    return Observation(sum(found), "count", samples)


MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    "errors": _errors,
    "throughput": _throughput,
    "availability": _availability,
    "dropped": _dropped,
    "pool_utilization": _pool_utilization,
    **dict.fromkeys(COUNTERS, _counter),
    **ANSWER_MEASURES,
}


MIDDLE = 50.0
HIGHEST = 100.0


def floor_ns(run: Run, metric: str, stat: str, workload: str | None = None) -> float | None:
    """The floor at the calibrated percentile nearest to `stat`; None where the run has none.

    The mean takes the floor of P50, the maximum that of the highest percentile. workload: the one that is
    asked about, else all. Where one goes through a fault proxy it is the floor of the way through that.
    """
    calibration = run.record.calibration
    tables = [calibration.lag_ns if metric == "lag" else calibration.floor_ns]
    if metric != "lag":
        targets = {entry.target for entry in run.workloads_of(workload)}
        ways = [proxy for proxy in run.record.proxies if proxy.client is None]  # of the load itself
        tables += [proxy.floor_ns for proxy in ways if proxy.target in targets]
    found = [floor for table in tables if (floor := _in_table(table, stat)) is not None]
    return max(found, default=None)


def _in_table(table: dict[str, int], stat: str) -> float | None:
    floors = {percent_of(name): float(value) for name, value in table.items() if _is_percentile(name)}
    if not floors:
        return None
    percent = {"mean": MIDDLE, "max": HIGHEST}.get(stat) or percent_of(stat)
    return floors[min(floors, key=lambda known: abs(known - percent))]


def _is_percentile(name: str) -> bool:
    return name.startswith("p") and name[1:].replace(".", "", 1).isdigit()
