"""Faults, one family a file: each breaks one thing, proves that it broke, and heals it.

`FAULTS` says where each kind is implemented; what a scenario may write about it is in
`bench.scenario.fault_kinds`. Kinds on the network path are toxics of the fault proxy, and those on a process
are carried out by the container engine where the target runs in a container. Plug-ins add kinds of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import load
from bench.scenario.fault_kinds import ACTION, BACKUP, DESTROY, FAULT_KINDS

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
    "failover": "chaos.faults.failover:failover",
    "switchover": "chaos.faults.standby:Switchover",
    "promote": "chaos.faults.standby:Promote",
    "cpu": "chaos.faults.pressure:CpuPressure",
    "memory": "chaos.faults.pressure:MemoryPressure",
    "io": "chaos.faults.pressure:IoPressure",
    "disk_full": "chaos.faults.disk_full:DiskFull",
    "exhaust_connections": "chaos.faults.exhaust_connections:exhaustion",
}
"""Kind -> "module:class", imported on use. Called with a FaultPlan and a FaultContext, it makes a Fault."""
ACTION_KINDS = {
    ACTION: "chaos.faults.action:Action",
    BACKUP: "chaos.faults.drill:Backup",
    DESTROY: "chaos.faults.drill:Destroy",
}
"""The same for what stands under `actions`."""
IN_CONTAINER = "chaos.faults.on_container:OnContainer"
ON_PATH = "chaos.faults.on_path:OnPath"


def fault_for(plan: FaultPlan, context: FaultContext) -> Fault:
    """The fault that a plan asks for, on this stack."""
    if plan.action is not None:
        of_action: Fault = load(ACTION_KINDS[plan.kind])(plan, context)
        return of_action
    facts = FAULT_KINDS[plan.kind]
    if facts.through_proxy:
        implementation = ON_PATH
    elif facts.on_process and context.container(plan.target):
        implementation = IN_CONTAINER
    else:
        implementation = facts.implementation or FAULTS[plan.kind]
    made: Fault = load(implementation)(plan, context)
    return made
