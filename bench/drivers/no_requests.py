"""Drivers that make no requests themselves: a plan has names of operations only.

`noop` sends nothing: arrivals are planned, taken and recorded, so it shows the harness itself. The requests
of `locust` are made by a user's own locustfile, which decides how often each comes.
"""

from bench.plan.program import Program, Template
from bench.scenario.workloads import Workload
from bench.stack.target import Target


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """Operations without bytes. One that the driver brings along has a weight where it is the only one."""
    names, written = workload.operation_names, workload.operations
    weights = [written[name].weight if name in written else float(len(names) == 1) for name in names]
    return Program.build([Template.single(name, b"", 0) for name in names], weights, [])
