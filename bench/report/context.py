"""What stands around the figures: losses, outages, the generator's own share, the run and its machine."""

import re
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from bench.core import histogram, units
from bench.core.answers import Answers
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.units import often, spaced
from bench.judge.faults.times import named
from bench.judge.measures import answers_of
from bench.registry import kind_of_answers
from bench.report.document import columns
from bench.resources.starvation import Starvation
from bench.results.fault_records import OutageRecord
from bench.results.load_records import WorkloadRecord
from bench.results.reader import Run
from bench.results.run_record import ProxyRecord, RunRecord, TargetRecord
from bench.scenario.rules.grammar import RuleText
from bench.scenario.rules.metric_facts import RULE_OF_THREE

Fact: TypeAlias = "tuple[str, str]"
"""A label and what there is to say of it."""

MESSAGES = {"lost_messages": "lost", "duplicate_messages": "duplicate", "reordered_messages": "reordered"}
LOST_SUBSCRIBERS = "lost_subscribers"
SHOWN_ERRORS = 5
WORTH_PRESSURE = 0.1
"""Share of the time: pressure below says nothing that the figures do not."""


def losses(run: Run) -> list[Fact]:
    """Answers, messages, connections and errors: what came, what went missing, what the servers said."""
    facts: list[Fact] = []
    for workload in run.workloads:
        facts += _answers(run, workload)
        facts += _messages(run, workload)
        facts += _connections(run, workload)
        facts += _errors(workload)
    return facts


def _answers(run: Run, workload: WorkloadRecord) -> list[Fact]:
    """What the answers of the measured phases brought: statuses, hits and misses."""
    answers = answers_of(run, (workload.name,))
    facts = (("HTTP", statuses_text(answers)), ("Lookups", lookups_text(answers, workload.driver)))
    return [(label, f"{workload.name}: {text}") for label, text in facts if text]


def statuses_text(found: Answers) -> str:
    """ "1 204 answered 200, 3 answered 503"; empty where none was counted."""
    return joined(f"{spaced(count)} answered {status}" for status, count in found.statuses.items())


def lookups_text(found: Answers, driver: str) -> str:
    """ "1 204 hits, 96 misses (7.38 %)", of a database in its words; empty where none was counted."""
    if not found.lookups:
        return ""
    misses = f"({units.format_ratio(found.misses / found.lookups)})"
    if kind_of_answers(driver) == "rows":
        return f"{spaced(found.hits)} statements found rows, {spaced(found.misses)} none {misses}"
    return f"{spaced(found.hits)} hits, {spaced(found.misses)} misses {misses}"


def _messages(run: Run, workload: WorkloadRecord) -> list[Fact]:
    counters = workload.counters
    found = [f"{spaced(counters[key])} {word}" for key, word in MESSAGES.items() if key in counters]
    if closed := counters.get(LOST_SUBSCRIBERS):
        found.append(f"{often(closed)} a subscriber's connection was closed")
    if not found:
        return []
    received = run.received(workload.name)
    delivered = sum(int(run.histogram("response", *scope, ("ok",)).sum()) for scope in received)
    return [("Messages", f"{workload.name}: {spaced(delivered)} delivered, {joined(found)}")]


def _connections(run: Run, workload: WorkloadRecord) -> list[Fact]:
    counters, facts = workload.counters, []
    if pool := run.record.pool.get(workload.name):
        most, mean, leaked = pool.utilization_max, pool.utilization_mean, counters.get("leaked_connections")
        parts = [
            f"{'?' if pool.size is None else pool.size} connections",
            "" if most is None else f"{units.format_ratio(most)} in use at most",
            "" if mean is None else f"{units.format_ratio(mean)} on average",
            "" if leaked is None else f"{spaced(leaked)} leaked",
        ]
        facts.append(("Pool", f"{workload.name}: {joined(parts)}"))
    if log_ins := counters.get("log_ins"):
        refused = counters.get("log_ins_refused", 0)
        facts.append(
            (
                "Log-ins",
                f"{workload.name}: {spaced(log_ins)}" + f", {spaced(refused)} refused" * (refused > 0),
            )
        )
    if redirects := counters.get("redirects"):
        facts.append(("Redirects", f"{workload.name}: {spaced(redirects)} answers named another node"))
    if reconnects := counters.get("reconnects"):
        facts.append(("Reconnects", f"{workload.name}: {spaced(reconnects)} lanes reconnected"))
    return facts


def _errors(workload: WorkloadRecord) -> list[Fact]:
    errors = sorted(workload.errors, key=lambda error: -error.count)
    facts = [
        ("Error", f"{workload.name}.{error.operation}, {often(error.count)}: {error.shown}")
        for error in errors[:SHOWN_ERRORS]
    ]
    more = len(errors) - SHOWN_ERRORS
    return [*facts, *([("", f"and {more} more kinds, in run.json")] if more > 0 else [])]


def generator(run: Run) -> list[Fact]:
    """What the measuring itself adds: lag, the machine's floor, anomalies."""
    record, facts = run.record, []
    lag, late = run.histogram("lag"), run.histogram("late")
    if lag.any():
        facts.append(("Lag", f"planned to sent: {_spread(lag)}"))
    if late.any():
        facts.append(("", f"added by ourselves: {_spread(late)}"))
    idle, waited = record.generator.idle_ratio, record.generator.run_delay_ns
    if idle is not None:
        delay = f", waited {units.format_duration_ns(waited)} for a processor" if waited else ""
        facts.append(("Generator", f"idle {units.format_ratio(idle)} of the time{delay}"))
    if others := others_at_work(run):
        facts.append(("Others", others))
    if floors := record.calibration.floor_ns:
        known = [f"{name.upper()} {units.format_duration_ns(value)}" for name, value in floors.items()]
        facts.append(("Floor", f"{joined(known)}: shorter limits cannot be judged on this machine"))
    else:
        facts.append(("Floor", "unknown: the run holds no calibration"))
    facts += [("Proxy", _proxy(proxy)) for proxy in record.proxies]
    facts += [("Anomaly", f"{anomaly.severity or 'note'}: {anomaly.message}") for anomaly in run.anomalies]
    return facts if run.anomalies else [*facts, ("Anomalies", "none")]


def _proxy(proxy: ProxyRecord) -> str:
    """How the fault proxy did that stood in a target's path, and what the way through it adds."""
    late, floors = (
        [f"{name.upper()} {units.format_duration_ns(ns)}" for name, ns in percentiles.items()]
        for percentiles in (proxy.lateness_ns, proxy.floor_ns)
    )
    parts = [
        f"passed on after {joined(late)}" if late else "passed nothing on",
        "" if proxy.busy_ratio is None else f"busy {units.format_ratio(proxy.busy_ratio)} at most",
        f"floor through it {joined(floors)}" if floors else "",
        f"ended: {proxy.ended}" if proxy.ended else "",
    ]
    where = proxy.name.removeprefix("the fault proxy ")
    return f"{where}: {'; '.join(filter(None, parts))}"


def others_at_work(run: Run) -> str:
    """What others did to the run on its machine, where that is worth a word; empty where it is not."""
    resources = run.record.resources
    if resources.others is None:
        return ""
    found = Starvation.of(resources.others)
    if not found.is_worth_a_word:
        return ""
    words = {
        "cpu": "something waited for a processor",
        "memory": "all waited for memory",
        "io": "all waited for a disk",
    }
    pressures = [
        f"{words[name]} {units.format_ratio(share)} of the time"
        for name, share in resources.pressure.items()
        if name in words and share >= WORTH_PRESSURE
    ]
    return "; ".join([found.sentence(), *pressures])


def _spread(counts: Counts) -> str:
    known = [f"P{p} {units.format_duration_ns(histogram.percentile_ns(counts, p))}" for p in (50, 95, 99)]
    return f"{joined(known)}, max {units.format_duration_ns(histogram.max_ns(counts))}"


TAIL_OF_RULE = re.compile(r"\.p(\d+(?:\.\d+)?)$")
TAIL = 95.0
"""Of percentiles from here on rare stalls are a large part."""


def rare_stalls(run: Run) -> str:
    """How rare a stall may be that the run cannot have missed, where a rule is about a tail; else empty.

    Of what comes at random, none in a time T leaves a rate of up to 3 / T (95 %; the rule of three).
    """
    judged = [RuleText.of(text).metric for text in run.rules]
    is_tail = any((found := TAIL_OF_RULE.search(metric)) and float(found[1]) >= TAIL for metric in judged)
    if not is_tail or not run.measured_s:
        return ""
    measured, excluded = (
        units.format_duration_ns(part * run.measured_s * NS_PER_S) for part in (1, 1 / RULE_OF_THREE)
    )
    return f"any that come every {excluded} or more often show in {measured} (95 %); rarer ones may be missed"


def run_itself(run: Run) -> list[Fact]:
    """When, on what, where it lies, and how to do it again."""
    record = run.record
    plan, stack = record.plan, record.stack
    parts = [
        f"{units.format_duration_ns(run.measured_s * NS_PER_S)} measured",
        f"{units.format_duration_ns(record.duration_ns)} in all" if record.has("duration_ns") else "",
        f"started {record.started.utc}" if record.started.utc else "",
        "" if plan.seed is None else f"seed {plan.seed}",
    ]
    facts = [("Run", joined(parts))]
    if stalls := rare_stalls(run):
        facts.append(("Stalls", stalls))
    if stack.kind or stack.targets:
        facts.append(("Stack", f"{stack.kind or 'unknown'}: {joined(map(_target, stack.targets))}"))
    if machine := record.environment.key:
        known = [f"{name.replace('_', ' ')} {value}" for name, value in machine.items() if value is not None]
        facts.append(("Machine", joined(known)))
    facts.append(("Folder", str(run.path)))
    if record.scenario.path:
        facts.append(("Again", command_again(record)))
    return facts


def _target(target: TargetRecord) -> str:
    facts = ", ".join(filter(None, (target.version, target.tls)))
    return f"{target.name} at {target.address or '?'}" + (f" ({facts})" if facts else "")


def command_again(record: RunRecord) -> str:
    """The command line that does the same run again."""
    plan = record.plan
    words = ["bench", "run", record.scenario.path]
    words += ["--stack", record.stack.file or record.stack.kind] if record.stack.kind else []
    words += ["--quick"] if plan.quick else []
    words += [] if plan.seed is None else ["--seed", str(plan.seed)]
    for override in plan.overrides:
        words += ["--set", override]
    return shlex.join(words)


OUTAGES = columns("Without success:24 | #at:11 | #length:11 | #failed:11 | whose")
SHOWN_OUTAGES = 20


def outage_cause(run: Run, outage: OutageRecord) -> str:
    """As in "fault 2 (kill redis)", or "nobody's" where nothing that the run did explains it."""
    fault = next((fault for fault in run.record.faults if fault.number == outage.fault), None)
    return "nobody's" if fault is None else named(fault)


def outage_note(run: Run) -> str:
    """What the table means, and what is left out of it."""
    outages = run.record.outages
    resolution = units.format_duration_ns(max(outage.resolution_ns for outage in outages))
    text = f"No arrival of the workload succeeded; edges are known to {resolution}"
    if any(outage.whose == "nobody" for outage in outages):
        text += "; nobody's: no fault of this run was there, so look at the target's log at that time"
    left_out = len(outages) - SHOWN_OUTAGES
    return f"{text}{f'; {left_out} more are in run.json' if left_out > 0 else ''}."


def outage_rows(run: Run) -> list[tuple[str, ...]]:
    """The first outages: whose load, when it began, how long it was, arrivals that failed, and its cause."""
    return [
        (
            outage.workload,
            units.format_duration_ns(outage.from_ns),
            units.format_duration_ns(outage.until_ns - outage.from_ns),
            spaced(outage.failed),
            outage_cause(run, outage),
        )
        for outage in run.record.outages[:SHOWN_OUTAGES]
    ]


def joined(parts: Iterable[str]) -> str:
    """The parts that say something, with commas."""
    return ", ".join(filter(None, parts))


def clock_text(utc: str) -> str:
    """`utc` as in run.json, to the second; as it stands where it is no time."""
    try:
        found = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    return f"{found if found.tzinfo is None else found.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
