"""A harness without load that breaks one container of a compose project once, to be killed.

    doomed_container_harness.py KIND SECONDS

Journal, reaper and runner are those of a run. It says "asked" when the fault is about to be made.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from bench.core.clock import monotonic_ns
from bench.stack.docker.compose import ComposeStack
from chaos.faults import fault_for
from chaos.faults.fault import Fault, FaultContext
from chaos.journal import Journal, heal_orphans
from chaos.runner import FaultRunner
from chaos.schedule import FaultPlan, Timestamps
from chaos.watchdog import Watchdog

NS = 1_000_000_000


def told(fault: Fault) -> Fault:
    """The same fault, which says when it is made."""
    inject = fault.inject

    def saying() -> Timestamps:
        sys.stdout.write("asked\n")
        sys.stdout.flush()
        return inject()

    fault.inject = saying  # type: ignore[method-assign]
    return fault


def main() -> None:
    """Break it and stay."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    with ComposeStack({"redis"}, Path(tempfile.mkdtemp(prefix="logs-"))) as stack:
        around = FaultContext(stack, stack.targets())
        for_ns = int(seconds * NS) if seconds else None
        fault = told(fault_for(FaultPlan(0, kind, "redis", NS // 10, for_ns, {}, None, 0, 0), around))
        fault.check()
        journal = Journal()
        heal_orphans(journal=journal)
        reaper = Watchdog(journal.path, journal.lock)
        runner = FaultRunner([fault], journal, 60 * NS)
        runner.begin(monotonic_ns())
        if sys.argv[3:] == ["end"]:
            act = runner.acts[0]
            while act.healed is None:
                threading.Event().wait(0.01)
            runner.end()
            sys.stdout.write(f"{act.healed.holds} {act.healed.text}; healed by {act.fault.healed_by}\n")
            sys.stdout.flush()
            journal.close()
            reaper.close()
            return
        threading.Event().wait()


if __name__ == "__main__":
    main()
