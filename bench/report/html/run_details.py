"""The run itself: the generator's own share, anomalies, machine, stack, and how to do it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.core import histogram, units
from bench.core.units import spaced
from bench.report.context import command_again, others_at_work
from bench.report.html.page import Child, Html, badge, details, element, numbers, section, table, words
from bench.results import layout

if TYPE_CHECKING:
    from bench.results.reader import Run


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
    order: list[Any] = ["invalid", "fail", "inconclusive", "note"]
    found = sorted(
        run.anomalies,
        key=lambda one: [*order, one.get("severity")].index(one.get("severity")),
    )
    if not found:
        return section("Anomalies", element("p", "None."))
    rows = [
        [
            str(one.get("code", "")).replace("_", " "),
            badge(SEVERITIES.get(str(one.get("severity")), str(one.get("severity", "note")))),
            [
                element("div", str(one.get("message", ""))),
                element("div", element("strong", "What to do: "), str(one["advice"]))
                if one.get("advice")
                else None,
            ],
        ]
        for one in found[:SHOWN_ANOMALIES]
    ]
    left_out = len(found) - SHOWN_ANOMALIES
    caption = f"The worst first{f'; {left_out} more are in run.json' if left_out > 0 else ''}"
    return section("Anomalies", table(["anomaly", "severity", "what was seen"], rows, caption))


def generator(run: Run) -> Html:
    """What the measuring itself added, and the floor below which this machine cannot judge."""
    rows: list[list[Child]] = []
    spreads = (("lag", "planned to sent"), ("late", "of it, added by the generator itself"))
    for kind, text in spreads:
        counts = run.histogram(kind)
        if counts.any():
            times = [units.format_duration_ns(histogram.percentile_ns(counts, p)) for p in (50, 95, 99)]
            rows.append([text, *times, units.format_duration_ns(histogram.max_ns(counts))])
    calibration = run.record.get("calibration", {})
    floors = calibration.get("floor_ns", {})
    if floors:
        known = (floors.get(name) for name in ("p50", "p95", "p99"))
        shown = (None if ns is None else units.format_duration_ns(ns) for ns in known)
        rows.append(["floor: shorter limits cannot be judged on this machine", *shown, None])
    for proxy in run.record.get("proxies", []):
        where = f"the fault proxy before {proxy['target']}"
        for text, times_of in (
            (f"passed on by {where} after", proxy.get("lateness_ns", {})),
            (f"floor through {where}", proxy.get("floor_ns", {})),
        ):
            times_ns = [times_of.get(name) for name in ("p50", "p95", "p99", "max")]
            rows.append([text, *(None if ns is None else units.format_duration_ns(ns) for ns in times_ns)])
    columns = [*words("time"), *numbers("P50", "P95", "P99", "max")]
    made = run.record.get("generator", {})
    parts = [
        "The calibration is missing: the floor of this machine is unknown." if not floors else "",
        f"The generator was idle {units.format_ratio(made['idle_ratio'])} of the time."
        if made.get("idle_ratio") is not None
        else "",
        f"A thread of it waited {units.format_duration_ns(made['run_delay_ns'])} for a processor."
        if made.get("run_delay_ns")
        else "",
        "It was the bottleneck." if made.get("saturated") else "",
        f"Beside it {company}." if (company := others_at_work(run)) else "",
    ]
    text = element("p", " ".join(part for part in parts if part))
    caption = "Measured phases; the floor is from the self-measurement before the run"
    figures = table(columns, rows, caption) if rows else None
    return section(
        "The generator and its floor", text, figures, _calibration(calibration), anchor="generator"
    )


def _calibration(calibration: dict[str, Any]) -> Html | None:
    rows: list[list[Child]] = []
    for one in calibration.get("table", []):
        for percent in one.get("given_ns", {}):
            figures = [
                one.get(kind, {}).get(percent) for kind in ("given_ns", "recorded_ns", "error_ns", "lag_ns")
            ]
            shown = [None if ns is None else units.format_duration_ns(ns) for ns in figures]
            rows.append([f"{one.get('profile', '')}, {percent.upper()}", *shown])
    if not rows:
        return None
    heads = ("given by the server", "recorded", "error", "lag")
    columns = [*words("server of known delays"), *numbers(*heads)]
    return details("The self-measurement", table(columns, rows, "Given, and what was recorded of it"))


def workers(run: Run) -> Html:
    """Who made the load, where it was made by several; empty else."""
    rows: list[list[Child]] = []
    for one in run.record.get("workers") or []:
        idle, planned, late = (one.get(key) for key in ("idle_ratio", "planned", "late_windows"))
        rows.append(
            [
                str(one.get("name", "?")),
                f"{one.get('host') or '?'}, process {one.get('pid') or '?'}",
                _shares(one),
                None if planned is None else spaced(planned),
                _clock(one.get("clock") or {}),
                _floor(one.get("floor_ns") or {}),
                None if idle is None else units.format_ratio(idle),
                None if late is None else spaced(late),
                [badge("lost"), " ", str(one["lost"])] if one.get("lost") else "in time",
            ]
        )
    if not rows:
        return Html()
    columns = [
        *words("worker", "where", "share of the plan"),
        *numbers("arrivals"),
        *words("its clock", "its floor"),
        *numbers("idle", "late windows"),
        *words("came to"),
    ]
    caption = "Each made its share of one plan; their histograms were added up exactly"
    return section("Workers", table(columns, rows, caption, narrow="cards"))


def _shares(worker: dict[str, Any]) -> str:
    """Its segments; of workloads that are not cut, only the one that has them does anything."""
    by_workload = worker.get("workloads") or {}
    if not by_workload:
        return " of ".join(map(str, worker.get("segment") or ["nothing"]))
    return ", ".join(f"{name} {' of '.join(map(str, segment))}" for name, segment in by_workload.items())


def _clock(clock: dict[str, Any]) -> str:
    if clock.get("same"):
        return "the coordinator's own"
    offset, sure, drift = (clock.get(f"{name}_ns") for name in ("offset", "uncertainty", "drift"))
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
    machine = {
        **record.get("environment", {}).get("key", {}),
        **record.get("environment", {}).get("facts", {}),
    }
    parts: list[Html | None] = [
        _pairs("Machine", {name: _fact(name, value) for name, value in machine.items()}),
        _pairs("Versions", {"holdfast": record.get("holdfast"), **record.get("versions", {})}),
        _targets(record.get("stack", {})),
        _data_sets(record.get("data_sets") or []),
    ]
    return section("Environment", *parts)


def _fact(name: str, value: object) -> object:
    if name.endswith("_bytes") and isinstance(value, int | float):
        return units.format_bytes(value)
    return value


def _pairs(title: str, pairs: dict[str, object]) -> Html | None:
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


def _targets(stack: dict[str, Any]) -> Html | None:
    rows: list[list[Child]] = []
    for one in stack.get("targets", []):
        settings = ", ".join(
            f"{key} {value or chr(34) * 2}" for key, value in (one.get("settings") or {}).items()
        )
        made_of = one.get("image") or one.get("started_by")
        rows.append(
            [
                str(one.get("name", "?")),
                " ".join(str(one[key]) for key in ("server", "version") if one.get(key)) or None,
                str(one.get("address", "")),
                None if made_of is None else str(made_of),
                settings or None,
            ]
        )
    if not rows:
        return None
    columns = ["target", "server", "address", "from", "settings that differ from the server's own"]
    return Html(element("h3", "Stack") + table(columns, rows, f"Stack: {stack.get('kind', 'unknown')}"))


def _data_sets(sets: list[dict[str, Any]]) -> Html | None:
    rows: list[list[Child]] = []
    for one in sets:
        counted = one.get("rows")
        shown = spaced(counted) if isinstance(counted, int) else _plain(counted) if counted else None
        state = "reused" if one.get("reused") else "put in place"
        rows.append(
            [f"{one.get('target', '?')}: {one.get('name', '?')}", str(one.get("scale") or ""), shown, state]
        )
    if not rows:
        return None
    return table(["data set", "scale", "rows", "state"], rows, "Data in place before the run")


def again(run: Run) -> Html:
    """The command that does the same run, the scenario as it stood, and the files of this run."""
    record = run.record
    scenario, plan = record.get("scenario", {}), record.get("plan", {})
    parts: list[Child] = []
    if scenario.get("path"):
        parts.append(element("pre", element("code", command_again(record)), tabindex=0))
    if record.get("stack", {}).get("kind") == "external":
        parts.append(element("p", f"The addresses came from the environment: {ADDRESSES}."))
    facts = {
        "digest of the plan": plan.get("digest"),
        "digest of the scenario": scenario.get("digest"),
        "seed": plan.get("seed"),
        "changed by --set": ", ".join(map(str, plan.get("overrides", []))),
    }
    parts.append(_pairs("Plan", facts))
    if scenario.get("text"):
        text = element("pre", element("code", str(scenario["text"])[:LONGEST_TEXT]), tabindex=0)
        parts.append(details("The scenario file as it stood", text))
    there = [(name, text) for name, text in FILES if (run.path / name).exists()]
    links = [element("li", element("a", name, href=name), f": {text}") for name, text in there]
    parts += [element("h3", "Files of this run"), element("ul", links)] if links else []
    return section("Do it again", *parts, anchor="again")
