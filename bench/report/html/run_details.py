"""The run itself: the generator's own share, anomalies, machine, stack, and how to do it again."""

import json
from collections.abc import Mapping

from bench.core import histogram, units
from bench.core.units import spaced
from bench.report.context import command_again, others_at_work
from bench.report.html.page import Child, Html, advised, badge, details, element, section, table
from bench.results import layout
from bench.results.generator_records import CalibrationRecord, ClockRecord, WorkerRecord
from bench.results.load_records import DataSetRecord
from bench.results.reader import Run
from bench.results.run_record import StackRecord

SEVERITIES = {"invalid": "INVALID", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
FILES = (
    (layout.WINDOWS, "every time, as histograms of windows (HdrHistogram log)"),
    (layout.VERDICT, "the verdict, for programs"),
    (layout.RECORD, "what was run, on what, and how it ended"),
    (layout.SERIES, "rates, outcomes and percentiles by window"),
    (layout.RESOURCES, "CPU, memory, files and connections by sample"),
    (layout.EVENTS, "phases, faults, reconnections"),
    (layout.OPERATIONS, "every single arrival"),
)
SHOWN_ANOMALIES = 100
LONGEST_TEXT = 60_000
"""Characters of a scenario that are shown; all of it is in run.json."""
ADDRESSES = "REDIS_URL, DATABASE_URL and API_URL"


def anomalies(run: Run) -> Html:
    """What the session found odd, the worst first; said also where there was nothing."""
    order = ["invalid", "fail", "inconclusive", "note"]
    found = sorted(
        run.anomalies, key=lambda one: order.index(one.severity) if one.severity in order else len(order)
    )
    if not found:
        return section("Anomalies", element("p", "None."))
    rows = [
        [
            anomaly.code.replace("_", " "),
            badge(SEVERITIES.get(anomaly.severity, anomaly.severity or "note")),
            advised(anomaly.message, anomaly.advice),
        ]
        for anomaly in found[:SHOWN_ANOMALIES]
    ]
    left_out = len(found) - SHOWN_ANOMALIES
    caption = f"The worst first{f'; {left_out} more are in run.json' if left_out > 0 else ''}"
    return section("Anomalies", table("anomaly | severity | what was seen", rows, caption))


def generator(run: Run) -> Html:
    """What the measuring itself added, and the floor below which this machine cannot judge."""
    rows: list[list[Child]] = []
    spreads = (("lag", "planned to sent"), ("late", "of it, added by the generator itself"))
    for kind, text in spreads:
        counts = run.histogram(kind)
        if counts.any():
            times = [units.format_duration_ns(histogram.percentile_ns(counts, p)) for p in (50, 95, 99)]
            rows.append([text, *times, units.format_duration_ns(histogram.max_ns(counts))])
    calibration, made = run.record.calibration, run.record.generator
    floors = calibration.floor_ns
    if floors:
        rows.append(
            ["floor: shorter limits cannot be judged on this machine", *_times(floors, "p50 p95 p99"), None]
        )
    for proxy in run.record.proxies:
        rows.append([f"passed on by {proxy.name} after", *_times(proxy.lateness_ns, "p50 p95 p99 max")])
        if proxy.client is None:
            rows.append([f"floor through {proxy.name}", *_times(proxy.floor_ns, "p50 p95 p99 max")])
    columns = "time | #P50 | #P95 | #P99 | #max"
    idle, waited = made.idle_ratio, made.run_delay_ns
    said = [
        "The calibration is missing: the floor of this machine is unknown." if not floors else "",
        "" if idle is None else f"The generator was idle {units.format_ratio(idle)} of the time.",
        f"A thread of it waited {units.format_duration_ns(waited)} for a processor." if waited else "",
        "It was the bottleneck." if made.saturated else "",
        f"Beside it {company}." if (company := others_at_work(run)) else "",
    ]
    text = element("p", " ".join(filter(None, said)))
    caption = "Measured phases; the floor is from the self-measurement before the run"
    parts = (text, table(columns, rows, caption), _calibration(calibration))
    return section("The generator and its floor", *parts, anchor="generator")


def _times(percentiles: dict[str, int], names: str) -> list[str | None]:
    known = (percentiles.get(name) for name in names.split())
    return [None if ns is None else units.format_duration_ns(ns) for ns in known]


def _calibration(calibration: CalibrationRecord) -> Html | None:
    rows: list[list[Child]] = []
    for row in calibration.table:
        for percent in row.given_ns:
            kinds = (row.given_ns, row.recorded_ns, row.error_ns, row.lag_ns)
            shown = [time for kind in kinds for time in _times(kind, percent)]
            rows.append([f"{row.profile or ''}, {percent.upper()}", *shown])
    columns = "server of known delays | #given by the server | #recorded | #error | #lag"
    shown_table = table(columns, rows, "Given, and what was recorded of it")
    return details("The self-measurement", shown_table) if rows else None


def workers(run: Run) -> Html:
    """Who made the load, where it was made by several; empty else."""
    rows: list[list[Child]] = []
    for worker in run.record.workers:
        idle, planned, late = worker.idle_ratio, worker.planned, worker.late_windows
        rows.append(
            [
                worker.name,
                f"{worker.host or '?'}, process {worker.pid or '?'}",
                _shares(worker),
                None if planned is None else spaced(planned),
                _clock(worker.clock) if worker.clock else "",
                _floor(worker.floor_ns or {}),
                None if idle is None else units.format_ratio(idle),
                None if late is None else spaced(late),
                [badge("lost"), " ", worker.lost] if worker.lost else "in time",
            ]
        )
    columns = "worker | where | share of the plan | #arrivals | its clock | its floor"
    columns += " | #idle | #late windows | came to"
    caption = "Each made its share of one plan; their histograms were added up exactly"
    return section("Workers", table(columns, rows, caption, narrow="cards"))


def _shares(worker: WorkerRecord) -> str:
    """Its segments; of workloads that are not cut, only the one that has them does anything."""
    if not worker.workloads:
        return " of ".join(map(str, worker.segment)) if worker.segment else "nothing"
    return ", ".join(
        f"{name} {' of '.join(map(str, segment or ()))}" for name, segment in worker.workloads.items()
    )


def _clock(clock: ClockRecord) -> str:
    if clock.same:
        return "the coordinator's own"
    offset, sure, drift = clock.offset_ns, clock.uncertainty_ns, clock.drift_ns
    parts = [
        "" if offset is None else f"off by {units.format_duration_ns(offset)}",
        "" if sure is None else f"± {units.format_duration_ns(sure)}",
        f"drifted by {units.format_duration_ns(drift)}" if drift else "",
    ]
    return ", ".join(part for part in parts if part)


def _floor(floors: dict[str, int]) -> str:
    return ", ".join(f"{name.upper()} {units.format_duration_ns(ns)}" for name, ns in floors.items())


def environment(run: Run) -> Html:
    """Machine, versions, stack and data."""
    record = run.record
    machine = {**record.environment.key, **record.environment.facts.to_json()}
    parts: list[Html | None] = [
        _pairs("Machine", {name: _fact(name, value) for name, value in machine.items()}),
        _pairs("Versions", {"holdfast": record.holdfast, **record.versions}),
        _targets(record.stack),
        _data_sets(record.data_sets),
    ]
    return section("Environment", *parts)


def _fact(name: str, value: object) -> object:
    if name.endswith("_bytes") and isinstance(value, int | float):
        return units.format_bytes(value)
    return value


def _pairs(title: str, pairs: Mapping[str, object]) -> Html | None:
    known = {name: value for name, value in pairs.items() if value not in (None, "", [])}
    if not known:
        return None
    body = [
        (element("dt", name.replace("_", " ").removesuffix(" bytes")), element("dd", _plain(value)))
        for name, value in known.items()
    ]
    return Html(element("h3", title) + element("dl", body))


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _targets(stack: StackRecord) -> Html | None:
    rows: list[list[Child]] = []
    columns = "target | server | address | from | settings that differ from the server's own"
    for target in stack.targets:
        settings = ", ".join(f"{key} {value or chr(34) * 2}" for key, value in target.settings.items())
        server = " ".join(filter(None, (target.server, target.version)))
        server += f" ({target.tls})" if target.tls else ""
        made_of = target.image or target.started_by
        rows.append([target.name, server or None, target.address, made_of, settings or None])
    shown = table(columns, rows, f"Stack: {stack.kind or 'unknown'}")
    return Html(element("h3", "Stack") + shown) if rows else None


def _data_sets(sets: list[DataSetRecord]) -> Html:
    rows = [
        [
            f"{data_set.target}: {data_set.name or ', '.join(data_set.files) or '?'}",
            str(data_set.scale or ""),
            _plain(data_set.rows) if data_set.rows else None,
            "reused" if data_set.reused else "put in place",
        ]
        for data_set in sets
    ]
    return table("data set | scale | rows | state", rows, "Data in place before the run")


def again(run: Run) -> Html:
    """The command that does the same run, the scenario as it stood, and the files of this run."""
    record = run.record
    scenario, plan = record.scenario, record.plan
    parts: list[Child] = []
    if scenario.path:
        parts.append(element("pre", element("code", command_again(record)), tabindex=0))
    if record.stack.kind == "external":
        parts.append(element("p", f"The addresses came from the environment: {ADDRESSES}."))
    facts = {
        "digest of the plan": plan.digest,
        "digest of the scenario": scenario.digest,
        "seed": plan.seed,
        "changed by --set": ", ".join(plan.overrides),
    }
    parts.append(_pairs("Plan", facts))
    if scenario.text:
        text = element("pre", element("code", scenario.text[:LONGEST_TEXT]), tabindex=0)
        parts.append(details("The scenario file as it stood", text))
    there = [(name, text) for name, text in FILES if (run.path / name).exists()]
    links = [element("li", element("a", name, href=name), f": {text}") for name, text in there]
    parts += [element("h3", "Files of this run"), element("ul", links)] if links else []
    return section("Do it again", *parts, anchor="again")
