"""The figures as families of metrics, for any system that stores such: names, labels, values.

Durations are seconds, sizes bytes, shares 0..1. A family without a figure is not there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.core.clock import NS_PER_S
from bench.exporters.figures import Distribution, Figures, RunFigures
from bench.judge.verdict import Status
from bench.registry import is_planned
from bench.run.recorder import SERIES_PERCENTS

Labels = dict[str, str]
Unit = Literal["seconds", "bytes", "ratio", ""]


@dataclass(frozen=True)
class Family:
    """One metric with all its label sets. A counter grows only, from the start of the run."""

    name: str
    help: str
    unit: Unit
    kind: Literal["counter", "gauge", "histogram"]
    samples: tuple[tuple[Labels, float | Distribution], ...]


def families(figures: Figures) -> list[Family]:
    """Everything that is known now."""
    found = _judged(figures)
    if figures.run is not None:
        found += [*_run(figures.run), *_arrivals(figures.run), *_times(figures.run), *_state(figures.run)]
    return [family for family in found if family.samples]


def _run(run: RunFigures) -> list[Family]:
    plan, label = run.record.plan, {"scenario": run.scenario}
    facts = {
        "run": run.name,
        "stack": run.record.stack.kind,
        "seed": str(plan.seed),
        "quick": _word(plan.quick),
    }
    planned_s = max(phase.end_ns for phase in run.record.phases) / NS_PER_S
    elapsed_s = run.view.end_ns / NS_PER_S if run.view else 0.0
    return [
        _gauge("holdfast_run_info", "The run in progress, or the last one.", [(label | facts, 1)]),
        _gauge("holdfast_run_length_seconds", "Length of the plan.", [(label, planned_s)], "seconds"),
        _gauge("holdfast_run_elapsed_seconds", "From run zero to now.", [(label, elapsed_s)], "seconds"),
        _gauge("holdfast_run_in_progress", "1 until the run folder is complete.", [(label, not run.path)]),
    ]


def _arrivals(run: RunFigures) -> list[Family]:
    """Outcomes are counted by the response times: every ended arrival has exactly one."""
    arrivals: Counter[tuple[tuple[str, str], ...]] = Counter()
    deliveries: Counter[tuple[tuple[str, str], ...]] = Counter()
    drivers = {workload.name: workload.driver for workload in run.record.workloads}
    for tag, distribution in run.distributions.items():
        if tag.kind != "response":
            continue
        label = {"workload": tag.workload, "operation": tag.operation, "outcome": tag.outcome}
        key = tuple((_scenario(run) | label | {"measured": _word(tag.measured)}).items())
        is_arrival = is_planned(drivers.get(tag.workload, ""), tag.operation)
        (arrivals if is_arrival else deliveries)[key] += distribution.samples
    answers: list[tuple[Labels, float]] = [
        (_scenario(run) | {"workload": name, "answer": column.removeprefix("status_")}, count)
        for (name, column), count in run.answers.items()
    ]
    planned = [(_scenario(run) | {"workload": name}, count) for name, count in run.planned.items()]
    return [
        _counter("holdfast_planned_arrivals", "Arrivals taken from the plan.", planned),
        _counter("holdfast_arrivals", "Arrivals that ended, by outcome.", _of(arrivals)),
        _counter("holdfast_answers", "Answers by what they brought.", answers),
        _counter("holdfast_deliveries", "Messages delivered to subscribers.", _of(deliveries)),
    ]


def _times(run: RunFigures) -> list[Family]:
    about = (
        "Bounds are edges of HdrHistogram buckets, at most 1/1024 above 1-2-5 steps; counts are exact, "
        "the sum is made from the middles of buckets."
    )
    texts = {
        "response": "From the planned arrival to its end; a lost one is charged no less than its deadline.",
        "service": "From the send to the answer.",
    }
    found = []
    for kind, text in texts.items():
        samples: list[tuple[Labels, float | Distribution]] = [
            (
                _scenario(run)
                | {"workload": tag.workload, "operation": tag.operation, "outcome": tag.outcome}
                | {"measured": _word(tag.measured)},
                distribution,
            )
            for tag, distribution in run.distributions.items()
            if tag.kind == kind
        ]
        name = f"holdfast_{kind}_seconds"
        found.append(Family(name, f"{text} {about}", "seconds", "histogram", tuple(samples)))
    return found


def _state(run: RunFigures) -> list[Family]:
    """How it stands at the end of the last window."""
    view, label = run.view, _scenario(run)
    rows = view.series if view else ()
    present = view.phase if view else ""
    names = [phase.name for phase in run.record.phases] + ["drain"]

    def column(name: str, key: str, text: str, unit: Unit = "") -> Family:
        return _gauge(name, text, _column(label, rows, key), unit)

    percentiles = [
        # Not "quantile": that label belongs to summaries, and linters refuse it elsewhere.
        (label | {"workload": row["workload"], "percentile": f"{percent:g}"}, value / NS_PER_S)
        for row in rows
        for percent in SERIES_PERCENTS
        if (value := row[f"response_p{percent:g}_ns"]) is not None
    ]
    faults = [
        (label | {"fault": str(number), "what": fault.what, "target": fault.target}, fault.in_force)
        for number, fault in run.faults.items()
    ]
    events = [(label | {"kind": kind}, count) for kind, count in run.events.items()]
    text = "Response times of what ended in the last window."
    return [
        _gauge("holdfast_window_response_seconds", text, percentiles, "seconds"),
        column("holdfast_in_flight", "in_flight", "Requests sent and not yet answered."),
        column("holdfast_connected_lanes", "connected", "Lanes with a connection."),
        column("holdfast_pool_in_use", "pool_in_use", "Connections of the pool that are taken."),
        column(
            "holdfast_generator_idle_ratio",
            "generator_idle_ratio",
            "Share of the last window in which the busiest engine thread had nothing to do.",
            "ratio",
        ),
        _gauge(
            "holdfast_generator_resident_bytes",
            "Resident memory of the harness.",
            [(label, row["generator_rss_bytes"]) for row in rows[:1] if row.get("generator_rss_bytes")],
            "bytes",
        ),
        _gauge(
            "holdfast_phase",
            "1 for the phase that the run is in.",
            [(label | {"phase": name}, name == present) for name in dict.fromkeys(names)],
        ),
        _gauge("holdfast_fault_in_force", "1 from a fault's effect until it is healed.", faults),
        _counter("holdfast_events", "Entries of events.jsonl so far.", events),
    ]


def _judged(figures: Figures) -> list[Family]:
    """The verdicts of all runs of the session, and their checks."""
    verdicts: list[tuple[Labels, float]] = []
    # A scenario may ask the same twice, but a label set can be there only once.
    checks: dict[tuple[str, ...], tuple[Labels, float]] = {}
    observed: dict[tuple[str, ...], tuple[Labels, float]] = {}
    for scenario, verdict in figures.verdicts.items():
        label = {"scenario": scenario, "run": verdict.run}
        verdicts += [(label | {"status": status.name}, status is verdict.status) for status in Status]
        for check in verdict.checks:
            known = label | {"rule": check.rule if check.is_rule else check.metric}
            status = known | {"status": check.status.name}
            checks[tuple(status.values())] = (status, 1)
            if check.observed is not None:
                observed[tuple(known.values())] = (known | {"unit": str(check.unit)}, check.observed)
    return [
        _gauge("holdfast_verdict", "1 for the status of a judged run.", verdicts),
        _gauge("holdfast_check", "Every judged rule and finding, with its status.", [*checks.values()]),
        _gauge(
            "holdfast_check_observed", "What a rule was judged by, in its base unit.", [*observed.values()]
        ),
    ]


def _column(label: Labels, rows: Any, key: str) -> list[tuple[Labels, float]]:
    return [(label | {"workload": row["workload"]}, row[key]) for row in rows if row.get(key) is not None]


def _of(counts: Counter[tuple[tuple[str, str], ...]]) -> list[tuple[Labels, float]]:
    return [(dict(key), count) for key, count in counts.items()]


def _scenario(run: RunFigures) -> Labels:
    return {"scenario": run.scenario}


def _word(value: Any) -> str:
    return "true" if value else "false"


def _counter(name: str, text: str, samples: Sequence[tuple[Labels, float]]) -> Family:
    return Family(name, text, "", "counter", tuple(samples))


def _gauge(name: str, text: str, samples: Sequence[tuple[Labels, float]], unit: Unit = "") -> Family:
    return Family(name, text, unit, "gauge", tuple((label, float(value)) for label, value in samples))
