"""A run as watchers see it, made up: one workload, a fault, a verdict."""

from __future__ import annotations

from pathlib import Path

from bench.core.clock import WallLabel
from bench.core.histogram import bucket_of, empty
from bench.core.messages import Event
from bench.judge.verdict import Check, Status, Verdict
from bench.results.logs import Tag
from bench.results.run_record import RunRecord
from bench.run.plugins import RunObserver, WindowView

RECORD = RunRecord.model_validate(
    {
        "run": "20260202t024000z-made_up-0a1b2c",
        "scenario": {"name": "made_up"},
        "plan": {"seed": 1, "quick": False},
        "stack": {"kind": "embedded"},
        "phases": [{"name": "steady", "measured": True, "start_ns": 0, "end_ns": 2_000_000_000}],
        "workloads": [{"name": "cache", "driver": "redis", "operations": ["get"]}],
    }
)


def event_of(**fields: object) -> Event:
    return Event.model_validate(fields)


def view_of(number: int, *times_ns: int, outcome: str = "ok") -> WindowView:
    """Window `number`, a second long, in which these responses ended."""
    counts = empty()
    for time_ns in times_ns:
        counts[bucket_of(time_ns)] += 1
    row = {
        "workload": "cache",
        "phase": "steady",
        "planned": len(times_ns),
        "hits": len(times_ns),
        "misses": 2,
        "status_2xx": 0,
        "response_p50_ns": None,
        "response_p95_ns": None,
        "response_p99_ns": None,
        "in_flight": 0,
        "connected": 4,
        "generator_rss_bytes": 1000,
    }
    gains = ((Tag("cache", "get", "response", outcome), counts),) if times_ns else ()
    start_ns = number * 1_000_000_000
    return WindowView(start_ns, start_ns + 1_000_000_000, "steady", "", (row,), gains)


def verdict_of(status: Status = Status.PASS) -> Verdict:
    check = Check(
        rule="cache.errors < 1%",
        metric="cache.errors",
        observed=0,
        unit="ratio",
        limit=0.01,
        samples=3,
        status=status,
        because="so",
    )
    return Verdict(scenario="made_up", run=RECORD.run, checks=(check,))


def show(watcher: RunObserver, verdict: Verdict | None = None) -> None:
    """A whole run of two windows with three responses and a fault."""
    watcher.started(RECORD, WallLabel(0, 1_770_000_000_000_000_000))
    watcher.event(event_of(at_ns=0, kind="phase", name="steady", measured=True))
    watcher.window(view_of(0, 1_000, 2_000_000))
    fault = {"fault": 0, "what": "kill redis", "target": "redis"}
    watcher.event(event_of(at_ns=1_100_000_000, kind="fault_effective", **fault))
    watcher.event(event_of(at_ns=1_500_000_000, kind="fault_healed", **fault))
    watcher.window(view_of(1, 3_000_000_000, outcome="timeout"))
    watcher.ended(Path("results") / RECORD.run, interrupted=False)
    watcher.judged(verdict or verdict_of())
