"""Faults, one family a file: each breaks one thing, proves that it broke, and mends it.

`fault_for` chooses the way: on a container, on a process of ours, or on the network path. Where there
is no way the scenario is refused before anything starts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.scenario.fault_kinds import FAULT_KINDS

if TYPE_CHECKING:
    from chaos.faults.fault import Fault, FaultContext
    from chaos.schedule import FaultPlan

_ON_PROCESS = {
    "kill": ("chaos.faults.process", "Kill"),
    "crash": ("chaos.faults.process", "Crash"),
    "stop": ("chaos.faults.process", "Stop"),
    "restart": ("chaos.faults.process", "Restart"),
    "pause": ("chaos.faults.process", "Pause"),
    "disconnect": ("chaos.faults.process", "Disconnect"),
}
_ANYWHERE = {
    "nothing": ("chaos.faults.noop", "Noop"),
    "observe": ("chaos.faults.noop", "Observe"),
    "cpu": ("chaos.faults.pressure", "CpuPressure"),
    "memory": ("chaos.faults.pressure", "MemoryPressure"),
    "io": ("chaos.faults.pressure", "IoPressure"),
    "disk_full": ("chaos.faults.disk_full", "DiskFull"),
    "exhaust_connections": ("chaos.faults.exhaust_connections", "exhaustion"),
}


def fault_for(plan: FaultPlan, context: FaultContext) -> Fault:
    """The fault that a plan asks for, on this stack."""
    if FAULT_KINDS[plan.kind].through_proxy:
        place = ("chaos.faults.on_path", "OnPath")
    elif plan.kind in _ON_PROCESS and context.container(plan.target):
        place = ("chaos.faults.on_container", "OnContainer")
    else:
        place = (_ON_PROCESS | _ANYWHERE)[plan.kind]
    made: Fault = getattr(importlib.import_module(place[0]), place[1])(plan, context)
    return made
