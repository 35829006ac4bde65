"""The driver that sends nothing: arrivals are planned, taken and recorded, so it shows the harness itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bench.plan.program import Program, Template

if TYPE_CHECKING:
    import socket

    from bench.scenario.model import Workload
    from bench.stack.target import Target


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """Operations without bytes."""
    names = workload.operation_names
    weights = [operation.weight for operation in workload.operations.values()] or [1.0]
    return Program.build([Template.single(name, b"", 0) for name in names], weights, [])


async def connect(
    dial: Callable[[], Awaitable[socket.socket]],  # noqa: ARG001 - the drivers' common form
    target: Target,  # noqa: ARG001
    workload: Workload,  # noqa: ARG001
    *,
    subscriber: bool,  # noqa: ARG001
) -> int:
    """Nothing is connected."""
    raise AssertionError("the noop driver opens no connection")


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Nothing to prepare."""
