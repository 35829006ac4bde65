"""Kills of a primary of a Redis Cluster beside an independent observer, as failover_list has them.

`python -m tests.chaos.cluster_failover_list`. Each kill is a run of its own, whose load is all of the shard
that is hit: its primary is killed and stays away for six seconds, its replica is elected meanwhile, and the
old one comes back as a replica.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.histogram import percentile_ns
from bench.judge.judge import judge
from bench.registry import PRIMARY
from bench.results.reader import Run
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.cluster import slot_of
from bench.stack.probes.health import probe
from bench.stack.roles import current_roles
from bench.stack.stack_file import load_stack_file
from chaos.plugin import Chaos
from tests.chaos.failover_list import Failover, row_of, write_table
from tests.chaos.in_process import Ended
from tests.chaos.outage_edges import StolenTime, edges_of
from tests.helpers.waiting import eventually

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.run_record import RunRecord
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target

FOLDER = Path(__file__).parent
DETECTORS = ("client_errors", "cluster", "probe", "engine_event")
SCENARIO = """\
scenario: killed_primary
purpose: a killed primary is replaced
workloads:
  - name: shop
    target: board
    driver: redis
    lanes: 8
    operations:
      add: {command: [SET, "{{TAG}}:{run}:{seq}", "{seq}"]}
    arrivals: constant
    rate: 500/s
    deadline: 200ms
phases:
  - {name: warmup, for: 1s, measured: false}
  - {name: steady, for: 11s}
detection: {probe_every: 100ms, failures: 2}
faults:
  - {kill: {target: board, role: primary}, at: 3s, for: 6s}
integrity:
  - {acknowledged_writes: shop, operation: add}
sla:
  - recovery.first < 20s
"""


class Watched(Chaos):
    """Faults, with the observer beside them at the servers of one shard."""

    def __init__(self, tag: str, ports: list[int]) -> None:
        super().__init__()
        self.outages: list[dict[str, int]] = []
        self._observed = (f"{{{tag}}}:observed", *map(str, ports))
        self._observer: subprocess.Popen[str] | None = None

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        seen = super().prepare(scenario, plan, stack, targets)
        program = [sys.executable, "-I", "-S", str(FOLDER / "cluster_observer.py"), *self._observed]
        self._observer = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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


def failed_over(stack: AssembledStack, folder: Path) -> Failover:
    """Kill the first primary of a stack that is up. Raises AssertionError where the observer saw nothing."""
    targets = stack.targets()
    board = targets["board"]
    eventually(lambda: probe(board, 2.0).state == "up", "nothing is missing", 60.0)
    roles = current_roles("board", targets, stack.topology())
    hit = targets[next(name for name, role in roles.items() if role == PRIMARY)]
    view = board.cluster_view(2.0)
    primary = next(node for node in view.primaries if node.endpoint == (hit.host, hit.port))
    shard = [primary, *(node for node in view.replicas if node.primary == primary.name)]
    tags = (f"t{number}" for number in itertools.count())
    tag = next(tag for tag in tags if view.owner_of(slot_of(tag.encode())) == primary)
    path = folder / "killed_primary.yaml"
    path.write_text(SCENARIO.replace("TAG", tag))
    watched = Watched(tag, [node.port for node in shard])
    session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [watched])
    with StolenTime() as stolen:
        run = Run.load(session.run(load_scenario(path, topology=stack.topology())))
    (edges,) = edges_of(run.record, watched.outages, stolen)
    (made,) = run.record.promotions
    assert made.at_ns is not None
    return Failover(Ended(run, judge(run)), edges, percentile_ns(run.histogram("late"), 99), made.at_ns)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    options.add_argument("--kills", type=int, default=10)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="failovers-") as name:
        folder = Path(name)
        file = folder / "stack.yaml"
        place = "{cluster: {primaries: 3, replicas: 3}, down_after: 1s}"
        file.write_text(f"stack: failovers\ntargets:\n  board: {{kind: redis, embedded: {place}}}\n")
        with AssembledStack(load_stack_file(file), {"board"}, folder) as stack:
            rows = [row_of(failed_over(stack, folder), DETECTORS) for _ in range(given.kills)]
    write_table(rows)


if __name__ == "__main__":
    main()
