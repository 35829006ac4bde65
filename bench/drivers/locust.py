"""The driver whose requests a user's own locustfile makes: a plan has names of operations only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bench.plan.program import Program, Template
from bench.scenario.drivers import OTHER

if TYPE_CHECKING:
    import socket

    from bench.scenario.model import Workload
    from bench.stack.target import Target


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """Operations without bytes; how often each comes is decided elsewhere."""
    names = workload.operation_names
    weights = [float(name != OTHER or len(names) == 1) for name in names]
    return Program.build([Template.single(name, b"", 0) for name in names], weights, [])


async def connect(
    dial: Callable[[], Awaitable[socket.socket]],  # noqa: ARG001 - the drivers' common form
    target: Target,  # noqa: ARG001
    workload: Workload,  # noqa: ARG001
    *,
    subscriber: bool,  # noqa: ARG001
) -> int:
    """The users connect by themselves."""
    raise AssertionError("the locust driver opens no connection")


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Nothing to prepare."""
