"""A harness without load, to be killed: a stack of its own, one fault after the other, until its end.

    doomed_harness.py KIND[:SECONDS] ...

It says "ready" before the first fault. Everything that a run with faults has is there: journal,
watchdog, proxy, runner. A fault that stays is made again as soon as it is healed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from bench.core.clock import monotonic_ns
from bench.scenario.fault_kinds import FAULT_KINDS
from bench.stack.assembled import AssembledStack
from bench.stack.embedded import EmbeddedStack
from bench.stack.stack import Stack
from bench.stack.stack_file import load_stack_file
from chaos.faults import fault_for
from chaos.faults.fault import FaultContext
from chaos.journal import Journal, heal_orphans
from chaos.proxy.client import FaultProxy
from chaos.runner import FaultRunner
from chaos.schedule import FaultPlan
from chaos.watchdog import Watchdog

MS = 1_000_000
SETTINGS = {
    "latency": {"delay": 5 * MS},
    "bandwidth": {"rate": 10_000},
    "slow_close": {"delay": 5 * MS},
    "limit_data": {"bytes": 10},
    "slicer": {"bytes": 1, "delay": MS},
    "cpu": {"load": 0.3},
    "memory": {"bytes": 5_000_000},
    "io": {"bytes": 100_000},
    "exhaust_connections": {"keep": 1},
}
LENGTH_NS = 60_000 * MS
OF_POSTGRES = ("failover", "switchover", "promote")


def stack_with(name: str) -> Stack:
    """A Redis, or a Postgres with a standby."""
    logs = Path(tempfile.mkdtemp(prefix="logs-"))
    if name == "redis":
        return EmbeddedStack({name}, logs)
    file = logs / "stack.yaml"
    file.write_text(f"stack: doomed\ntargets:\n  {name}: {{kind: postgres, embedded: {{standbys: 1}}}}\n")
    return AssembledStack(load_stack_file(file), {name}, logs)


def main() -> None:
    """Break one thing again and again."""
    kind, stays_ns = sys.argv[1], 100 * MS
    name = "orders" if kind in OF_POSTGRES else "redis"
    with stack_with(name) as stack:
        around = FaultContext(stack, stack.targets())
        if FAULT_KINDS[kind].through_proxy:
            target = around.targets["redis"]
            proxy = around.proxies["redis"] = FaultProxy(target.host, target.port)
            proxy.start()
        for_ns = None if FAULT_KINDS[kind].lasts == "never" else stays_ns
        journal = Journal()
        heal_orphans()
        Watchdog(journal.path)
        every_ns = (2000 if kind in OF_POSTGRES else 200) * MS
        plans = [
            FaultPlan(number, kind, name, number * every_ns, for_ns, SETTINGS.get(kind, {}), None, 0, number)
            for number in range(LENGTH_NS // every_ns)
        ]
        faults = [fault_for(plan, around) for plan in plans]
        faults[0].check()
        if kind == "exhaust_connections":
            for fault in faults:
                fault.check()
        runner = FaultRunner(faults, journal, LENGTH_NS)
        runner.begin(monotonic_ns())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
