"""Kills of a Postgres primary beside an independent observer: `python -m tests.chaos.failover_list`, a table.

Each kill is a run of its own: the primary is killed, a second later its standby is promoted, two seconds
later the old one comes back as a standby. For each: who noticed when (from the first failure), when the new
primary stood, first success, stable, full performance, acknowledged writes lost with the age of the oldest;
and how far the run's edges are from what a program saw that writes every millisecond and shares nothing with
the harness but the clock (postgres_observer.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.histogram import percentile_ns
from bench.judge.judge import judge
from bench.results.reader import Run
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.postgres_servers import primary_among, states_of
from bench.stack.stack_file import load_stack_file
from bench.stack.target_url import url_of
from chaos.plugin import Chaos
from tests.chaos.in_process import Ended
from tests.chaos.outage_edges import MS, Edges, StolenTime, edges_of
from tests.helpers.waiting import eventually

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.run_record import RunRecord
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target

FOLDER = Path(__file__).parent
DETECTORS = ("client_errors", "replication", "probe", "engine_event")
SCENARIO = """\
scenario: killed_primary
purpose: a killed primary is replaced
workloads:
  - name: shop
    target: orders
    driver: postgres
    lanes: 8
    setup: ["CREATE TABLE IF NOT EXISTS ledger (run bigint, id bigint)"]
    operations:
      add: {sql: "INSERT INTO ledger VALUES ({run}, {seq})"}
    arrivals: constant
    rate: 500/s
    deadline: 200ms
phases:
  - {name: warmup, for: 1s, measured: false}
  - {name: steady, for: 9s}
detection: {probe_every: 100ms, failures: 2}
faults:
  - {kill: orders, at: 3s, for: 3s}
  - {promote: orders, at: 4s}
integrity:
  - {acknowledged_writes: shop, operation: add, found: "SELECT id FROM ledger WHERE run = {run}"}
sla:
  - recovery.first < 20s
"""


class Watched(Chaos):
    """Faults, with the observer beside them at every server."""

    def __init__(self) -> None:
        super().__init__()
        self.outages: list[dict[str, int]] = []
        self._observer: subprocess.Popen[str] | None = None

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        seen = super().prepare(scenario, plan, stack, targets)
        servers = {name: target for name, target in targets.items() if name.startswith("orders#")}
        primary = primary_among(states_of(servers, 2.0))
        urls = [url_of(target) for _, target in sorted(servers.items(), key=lambda each: each[0] != primary)]
        self._observer = subprocess.Popen(
            [sys.executable, str(FOLDER / "postgres_observer.py")],
            env={**os.environ, "OBSERVED_URLS": json.dumps(urls)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return seen

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        assert self._observer is not None
        assert self._observer.stdout is not None
        assert self._observer.stdout.readline() == "ready\n"
        super().begin(start_ns, writer)

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        finished = super().finish(record, folder)
        assert self._observer is not None
        text, _ = self._observer.communicate()
        self.outages = [json.loads(line) for line in text.splitlines()]
        return finished

    def close(self) -> None:
        if self._observer is not None and self._observer.poll() is None:
            self._observer.kill()
            self._observer.wait()
        super().close()


@dataclass(frozen=True)
class Failover:
    """One kill by both; times of the run in ns from its run zero."""

    ended: Ended
    edges: Edges
    late_ns: int
    """P99 of the generator's own lateness: on a busy machine no edge can be known better."""
    promoted_ns: int
    """When the new primary's own word was heard."""

    @property
    def promoted_after_ns(self) -> int:
        """From the observer's first row on the new primary; a look each 10 ms is later."""
        return self.promoted_ns - self.edges.seen_good_ns

    @property
    def first_after_ns(self) -> int:
        """The same of the load's first success: lanes must log in first."""
        return self.edges.success_ns - self.edges.seen_good_ns


def failed_over(stack: AssembledStack, folder: Path) -> Failover:
    """Kill the primary of a stack that is up, and promote its standby. Raises AssertionError if not seen."""
    await_followers(stack)
    path = folder / "killed_primary.yaml"
    path.write_text(SCENARIO)
    watched = Watched()
    session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [watched])
    with StolenTime() as stolen:
        run = Run.load(session.run(load_scenario(path, topology=stack.topology())))
    (edges,) = edges_of(run.record, watched.outages, stolen)
    (made,) = run.record.promotions
    assert made.at_ns is not None
    late_ns = percentile_ns(run.histogram("late"), 99)
    return Failover(Ended(run, judge(run)), edges, late_ns, made.at_ns)


def await_followers(stack: AssembledStack) -> None:
    """Return when there is one primary, and every other server has what it has."""
    servers = {name: target for name, target in stack.targets().items() if name.startswith("orders#")}

    def all_follow() -> bool:
        states = states_of(servers, 2.0)
        places = {state.log_bytes for state in states.values()}
        return (
            len(states) == len(servers)
            and sum(state.is_primary for state in states.values()) == 1
            and len(places) == 1
        )

    eventually(all_follow, "all servers follow one primary", 60.0)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--synchronous", default="off")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="failovers-") as name:
        folder = Path(name)
        file = folder / "stack.yaml"
        place = f"{{standbys: 1, synchronous: {given.synchronous}}}"
        file.write_text(f"stack: failovers\ntargets:\n  orders: {{kind: postgres, embedded: {place}}}\n")
        with AssembledStack(load_stack_file(file), {"orders"}, folder) as stack:
            rows = [row_of(failed_over(stack, folder), DETECTORS) for _ in range(given.kills)]
    write_table(rows)


def write_table(rows: Sequence[Mapping[str, float | None]]) -> None:
    """A line for each kill, then median, interval and longest of each column."""
    columns = list(rows[0])
    sys.stdout.write(f"\n{' | '.join(columns)}\n")
    for row in rows:
        sys.stdout.write(" | ".join(_shown(row[column]) for column in columns) + "\n")
    for column in columns:
        values = sorted(value for row in rows if (value := row[column]) is not None)
        if values:
            low, high = _order_interval(values)
            middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
            sys.stdout.write(
                f"{column}: n {len(values)}, median {_shown(middle)} [{_shown(low)}, {_shown(high)}],"
                f" longest {_shown(values[-1])}\n"
            )


def row_of(one: Failover, detectors: Sequence[str]) -> dict[str, float | None]:
    """In ms from the first failure, unless its name says otherwise."""
    record = one.ended.record
    (recovery,), (check,) = record.recoveries, record.integrity
    since_ns = recovery.first_failure_ns or 0
    found = {each.detector: each.at_ns for each in record.detections}
    stamps = {
        **{f"detect {name}": found.get(name) for name in detectors},
        "promotion": one.promoted_ns,
        "first": recovery.first_success_ns,
        "stable": recovery.stable_ns,
        "full": recovery.full_ns,
    }
    return {
        **{name: None if at_ns is None else (at_ns - since_ns) / MS for name, at_ns in stamps.items()},
        "acknowledged": check.acknowledged,
        "lost": check.lost,
        "oldest lost": None if check.oldest_lost_age_ns is None else check.oldest_lost_age_ns / MS,
        "failure apart": one.edges.failure_apart_ns / MS,
        "promotion after observer": one.promoted_after_ns / MS,
        "first after observer": one.first_after_ns / MS,
        "late P99": one.late_ns / MS,
    }


def _order_interval(values: list[float]) -> tuple[float, float]:
    """Of the median, by order statistics: the narrowest ranks with at least 95 % of Binomial(n, 1/2)."""
    from scipy.stats import binom

    n = len(values)
    rank = max((k for k in range(n // 2 + 1) if 2 * binom.cdf(k - 1, n, 0.5) <= 0.05), default=0)
    rank = max(rank, 1)
    return values[rank - 1], values[n - rank]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}" if value == int(value) else f"{value:.1f}"


if __name__ == "__main__":
    main()
