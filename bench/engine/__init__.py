"""Where load comes from: the compiled wire engine, the client engine, and Locust in a separate process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bench.engine.api import Engine
    from bench.plan.plan import Plan, WorkloadPlan
    from bench.stack.target import Target


def engine_for(plan: Plan, workload: WorkloadPlan, target: Target | None, log_folder: Path) -> Engine:
    """The engine that a workload names; operation logs go into `log_folder`."""
    workload = workload.labelled(plan.run_label)
    if workload.workload.engine == "client":
        from bench.engine.client.engine import ClientEngine

        return ClientEngine(plan, workload, target, log_folder)
    if workload.workload.engine == "locust":
        from bench.engine.locust.engine import LocustEngine

        return LocustEngine(plan, workload, target, log_folder)
    from bench.engine.wire.engine import WireEngine

    return WireEngine(plan, workload, target, log_folder)
