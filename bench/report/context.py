"""What stands around the figures: losses, outages, the generator's own share, the run and its machine."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from bench.core import histogram, units
from bench.core.answers import error_text
from bench.core.clock import NS_PER_S
from bench.judge.faults.times import named
from bench.judge.measures import answers_of
from bench.judge.outcome_counts import often, spaced
from bench.registry import kind_of_answers
from bench.report.columns import beside, heading, joined, row, wrapped
from bench.resources.starvation import Starvation

if TYPE_CHECKING:
    from bench.core.answers import Answers
    from bench.core.histogram import Counts
    from bench.results.reader import Run
    from bench.results.run_record import RunRecord, WorkloadRecord


MESSAGES = {"lost_messages": "lost", "duplicate_messages": "duplicate", "reordered_messages": "reordered"}
LOST_SUBSCRIBERS = "lost_subscribers"
SHOWN_ERRORS = 5
WORTH_PRESSURE = 0.1
"""Share of the time: pressure below says nothing that the figures do not."""


def losses(run: Run) -> list[str]:
    """Answers, messages, connections and errors: what came, what went missing, what the servers said."""
    lines = []
    for entry in run.workloads:
        lines += _answers(run, entry)
        lines += _messages(run, entry)
        lines += _connections(run, entry)
        lines += _errors(entry)
    return lines


def _answers(run: Run, entry: WorkloadRecord) -> list[str]:
    """What the answers of the measured phases brought: statuses, hits and misses."""
    found = answers_of(run, (entry["name"],))
    lines = []
    if found.statuses:
        listed = [f"{spaced(count)} answered {status}" for status, count in found.statuses.items()]
        lines += beside("HTTP", f"{entry['name']}: {joined(listed)}")
    if found.lookups:
        lines += beside("Lookups", f"{entry['name']}: {lookups_text(found, str(entry.get('driver')))}")
    return lines


def lookups_text(found: Answers, driver: str) -> str:
    """ "1 204 hits, 96 misses (7.38 %)", of a database in its words."""
    misses = f"({units.format_ratio(found.misses / found.lookups)})"
    if kind_of_answers(driver) == "rows":
        return f"{spaced(found.hits)} statements found rows, {spaced(found.misses)} none {misses}"
    return f"{spaced(found.hits)} hits, {spaced(found.misses)} misses {misses}"


def _messages(run: Run, entry: WorkloadRecord) -> list[str]:
    counters = entry.get("counters", {})
    found = [f"{spaced(counters[key])} {word}" for key, word in MESSAGES.items() if key in counters]
    if closed := counters.get(LOST_SUBSCRIBERS):
        found.append(f"{often(closed)} a subscriber's connection was closed")
    if not found:
        return []
    received = run.received(entry["name"])
    delivered = sum(int(run.histogram("response", *scope, ("ok",)).sum()) for scope in received)
    return beside("Messages", f"{entry['name']}: {spaced(delivered)} delivered, {joined(found)}")


def _connections(run: Run, entry: WorkloadRecord) -> list[str]:
    counters, lines = entry.get("counters", {}), []
    pool = run.record.get("pool", {}).get(entry["name"])
    if pool:
        parts = [
            f"{pool.get('size', '?')} connections",
            f"{units.format_ratio(pool['utilization_max'])} in use at most"
            if "utilization_max" in pool
            else "",
            f"{units.format_ratio(pool['utilization_mean'])} on average"
            if "utilization_mean" in pool
            else "",
            f"{spaced(counters['leaked_connections'])} leaked" if "leaked_connections" in counters else "",
        ]
        lines += beside("Pool", f"{entry['name']}: {joined(parts)}")
    if counters.get("reconnects"):
        lines += beside("Reconnects", f"{entry['name']}: {spaced(counters['reconnects'])} lanes reconnected")
    return lines


def _errors(entry: WorkloadRecord) -> list[str]:
    errors = sorted(entry.get("errors", []), key=lambda error: -error.get("count", 0))
    lines = []
    for error in errors[:SHOWN_ERRORS]:
        place = f"{entry['name']}.{error.get('operation', '?')}"
        lines += beside("Error", f"{place}, {often(error.get('count', 0))}: {error_text(error)}")
    if len(errors) > SHOWN_ERRORS:
        lines += beside("", f"and {len(errors) - SHOWN_ERRORS} more kinds, in run.json")
    return lines


def generator(run: Run) -> list[str]:
    """What the measuring itself adds: lag, the machine's floor, anomalies."""
    lines = []
    lag, late = run.histogram("lag"), run.histogram("late")
    if lag.any():
        lines += beside("Lag", f"planned to sent: {_spread(lag)}")
    if late.any():
        lines += beside("", f"added by ourselves: {_spread(late)}")
    idle = run.record.get("generator", {}).get("idle_ratio")
    if idle is not None:
        waited = run.record["generator"].get("run_delay_ns")
        delay = f", waited {units.format_duration_ns(waited)} for a processor" if waited else ""
        lines += beside("Generator", f"idle {units.format_ratio(idle)} of the time{delay}")
    if company := others_at_work(run):
        lines += beside("Others", company)
    floors = run.record.get("calibration", {}).get("floor_ns", {})
    if floors:
        known = [f"{name.upper()} {units.format_duration_ns(value)}" for name, value in floors.items()]
        lines += beside("Floor", f"{joined(known)}: shorter limits cannot be judged on this machine")
    else:
        lines += beside("Floor", "unknown: the run holds no calibration")
    for proxy in run.record.get("proxies", []):
        lines += beside("Proxy", _proxy(proxy))
    for anomaly in run.anomalies:
        lines += beside("Anomaly", f"{anomaly.get('severity', 'note')}: {anomaly.get('message', '')}")
    if not run.anomalies:
        lines += beside("Anomalies", "none")
    return lines


def _proxy(proxy: dict[str, Any]) -> str:
    """How the fault proxy did that stood in a target's path, and what the way through it adds."""
    late = [f"{p.upper()} {units.format_duration_ns(ns)}" for p, ns in proxy.get("lateness_ns", {}).items()]
    floors = [f"{p.upper()} {units.format_duration_ns(ns)}" for p, ns in proxy.get("floor_ns", {}).items()]
    parts = [
        f"passed on after {joined(late)}" if late else "passed nothing on",
        f"busy {units.format_ratio(proxy['busy_ratio'])} at most" if "busy_ratio" in proxy else "",
        f"floor through it {joined(floors)}" if floors else "",
        f"ended: {proxy['ended']}" if proxy.get("ended") else "",
    ]
    return f"before {proxy['target']}: {'; '.join(part for part in parts if part)}"


def others_at_work(run: Run) -> str:
    """What others did to the run on its machine, where that is worth a word; empty where it is not."""
    values = run.record.get("resources", {}).get("others")
    if not values:
        return ""
    found = Starvation.from_json(values)
    if not found.is_worth_a_word:
        return ""
    pressure = run.record["resources"].get("pressure", {})
    words = {
        "cpu": "something waited for a processor",
        "memory": "all waited for memory",
        "io": "all waited for a disk",
    }
    told = [
        f"{words[name]} {units.format_ratio(share)} of the time"
        for name, share in pressure.items()
        if name in words and share >= WORTH_PRESSURE
    ]
    return "; ".join([found.sentence(), *told])


def _spread(counts: Counts) -> str:
    known = [f"P{p} {units.format_duration_ns(histogram.percentile_ns(counts, p))}" for p in (50, 95, 99)]
    return f"{joined(known)}, max {units.format_duration_ns(histogram.max_ns(counts))}"


def run_itself(run: Run) -> list[str]:
    """When, on what, where it lies, and how to do it again."""
    record = run.record
    plan, in_all = record.get("plan", {}), record.get("duration_ns")
    parts = [
        f"{units.format_duration_ns(run.measured_s * NS_PER_S)} measured",
        f"{units.format_duration_ns(in_all)} in all" if in_all is not None else "",
        f"started {record['started']['utc']}" if record.get("started", {}).get("utc") else "",
        f"seed {plan['seed']}" if "seed" in plan else "",
    ]
    lines = beside("Run", joined(parts))
    stack = record.get("stack", {})
    if stack:
        targets = [_target(target) for target in stack.get("targets", [])]
        lines += beside("Stack", f"{stack.get('kind', 'unknown')}: {joined(targets)}")
    machine = record.get("environment", {}).get("key", {})
    if machine:
        known = [f"{name.replace('_', ' ')} {value}" for name, value in machine.items() if value is not None]
        lines += beside("Machine", joined(known))
    lines += beside("Folder", str(run.path))
    lines += beside("Again", command_again(record)) if record.get("scenario", {}).get("path") else []
    return lines


def _target(target: dict[str, Any]) -> str:
    version = target.get("version")
    return f"{target.get('name', '?')} at {target.get('address', '?')}" + (f" ({version})" if version else "")


def command_again(record: RunRecord) -> str:
    """The command line that does the same run again."""
    plan = record.get("plan", {})
    words = ["bench", "run", str(record["scenario"]["path"])]
    words += ["--stack", str(kind)] if (kind := record.get("stack", {}).get("kind")) else []
    words += ["--quick"] if plan.get("quick") else []
    words += ["--seed", str(plan["seed"])] if "seed" in plan else []
    for override in plan.get("overrides", []):
        words += ["--set", str(override)]
    return shlex.join(words)


OUTAGE_WIDTH = 24
OUTAGE_ROOMS = (11, 11, 11)
OUTAGE_HEADS = ("at", "length", "failed")
SHOWN_OUTAGES = 20


def outages_of(run: Run) -> list[dict[str, Any]]:
    """The outages of a run, in the order of time; none in a run of an older version."""
    outages: list[dict[str, Any]] = run.record.get("outages") or []
    return outages


def outage_cells(outage: dict[str, Any]) -> tuple[str, str, str]:
    """When it began, how long it was, and how many arrivals failed in it."""
    length = units.format_duration_ns(outage["until_ns"] - outage["from_ns"])
    return units.format_duration_ns(outage["from_ns"]), length, spaced(outage["failed"])


def outage_cause(run: Run, outage: dict[str, Any]) -> str:
    """As in "fault 2 (kill redis)", or "nobody's" where nothing that the run did explains it."""
    faults = {fault["number"]: fault for fault in run.record.get("faults", [])}
    fault = faults.get(outage["fault"])
    return "nobody's" if fault is None else named(fault)


def outage_note(run: Run) -> str:
    """What the table means, and what is left out of it."""
    outages = outages_of(run)
    resolution = units.format_duration_ns(max(one["resolution_ns"] for one in outages))
    text = f"No arrival of the workload succeeded; edges are known to {resolution}"
    if any(one["whose"] == "nobody" for one in outages):
        text += "; nobody's: no fault of this run was there, so look at the target's log at that time"
    left_out = len(outages) - SHOWN_OUTAGES
    return f"{text}{f'; {left_out} more are in run.json' if left_out > 0 else ''}."


def outage_table(run: Run, colour: bool) -> list[str]:
    """The part of the text report; empty where there was no outage."""
    outages = outages_of(run)
    if not outages:
        return []
    heads = zip(OUTAGE_HEADS, OUTAGE_ROOMS, strict=True)
    lines = [heading(row("Without success", OUTAGE_WIDTH, heads)[0] + "  whose", colour)]
    for one in outages[:SHOWN_OUTAGES]:
        *above, last = row(one["workload"], OUTAGE_WIDTH, zip(outage_cells(one), OUTAGE_ROOMS, strict=True))
        lines += [*above, f"{last}  {outage_cause(run, one)}"]
    return [*lines, *wrapped(outage_note(run))]
