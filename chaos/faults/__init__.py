"""Faults, one family a file: each breaks one thing, proves that it broke, and heals it.

`FAULTS` says where each kind is implemented; what a scenario may write about it stands in
`bench.scenario.fault_kinds`. Kinds on the network path are toxics of the fault proxy, and those on a process
are carried out by the container engine where the target runs in a container. A plug-in calls `register`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.scenario.fault_kinds import FAULT_KINDS, FaultFacts

if TYPE_CHECKING:
    from chaos.faults.fault import Fault, FaultContext
    from chaos.schedule import FaultPlan

FAULTS = {
    "nothing": "chaos.faults.noop:Noop",
    "observe": "chaos.faults.noop:Observe",
    "kill": "chaos.faults.process:Kill",
    "crash": "chaos.faults.process:Crash",
    "stop": "chaos.faults.process:Stop",
    "restart": "chaos.faults.process:Restart",
    "pause": "chaos.faults.process:Pause",
    "disconnect": "chaos.faults.process:Disconnect",
    "cpu": "chaos.faults.pressure:CpuPressure",
    "memory": "chaos.faults.pressure:MemoryPressure",
    "io": "chaos.faults.pressure:IoPressure",
    "disk_full": "chaos.faults.disk_full:DiskFull",
    "exhaust_connections": "chaos.faults.exhaust_connections:exhaustion",
}
"""Kind -> "module:class", imported on use. Called with a FaultPlan and a FaultContext, it makes a Fault."""
IN_CONTAINER = "chaos.faults.on_container:OnContainer"
ON_PATH = "chaos.faults.on_path:OnPath"


def register(kind: str, facts: FaultFacts, implementation: str) -> None:
    """Add a plug-in's fault before a scenario that names it is read. ValueError for a kind that is taken."""
    if kind in FAULT_KINDS:
        raise ValueError(f"the fault {kind} is registered already")
    FAULT_KINDS[kind] = facts
    FAULTS[kind] = implementation


def fault_for(plan: FaultPlan, context: FaultContext) -> Fault:
    """The fault that a plan asks for, on this stack."""
    facts = FAULT_KINDS[plan.kind]
    if facts.through_proxy:
        implementation = ON_PATH
    elif facts.on_process and context.container(plan.target):
        implementation = IN_CONTAINER
    else:
        implementation = FAULTS[plan.kind]
    module, _, name = implementation.partition(":")
    made: Fault = getattr(importlib.import_module(module), name)(plan, context)
    return made
