"""HTTP/1.1 over plain sockets: one request at a time on each connection, kept alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.drivers.http.requests import write_request
from bench.drivers.variables import variables_of
from bench.drivers.writer import Vocabulary
from bench.plan.program import Program, Step, Template

if TYPE_CHECKING:
    import socket

    from bench.scenario.model import Workload
    from bench.stack.target import Target


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:
    """One step per operation. The first parameter is what the operation log calls the key."""
    vocabulary = Vocabulary(workload, seed)
    templates = []
    for name, operation in workload.operations.items():
        request = operation.request
        assert request is not None
        writer = write_request(request, workload.headers, target, vocabulary)
        templates.append(
            Template(
                name,
                (Step(bytes(writer.content), 1, tuple(writer.fields)),),
                statuses=request.expect.status,
                contains=(request.expect.contains or "").encode(),
                head_only=request.method == "HEAD",
            )
        )
    weights = [operation.weight for operation in workload.operations.values()]
    key = 0 if workload.parameters else -1
    return Program.build(templates, weights, variables_of(workload.parameters), key_variable=key)


async def connect(
    dial: Callable[[], Awaitable[socket.socket]],
    target: Target,
    workload: Workload,  # noqa: ARG001 - the drivers' common form
    *,
    subscriber: bool,
) -> int:
    """A plain connection; HTTP begins with the first request."""
    assert not subscriber
    _expect_plain(target)
    connection = await dial()
    return connection.detach()


def prepare(target: Target, workload: Workload, seed: int) -> None:  # noqa: ARG001 - the drivers' common form
    """Nothing is put in place; what is there is the target's business."""
    _expect_plain(target)


def _expect_plain(target: Target) -> None:
    if target.tls:
        raise TargetError(
            target.name,
            target.address,
            "http:// for the wire engine",
            "https://",
            "write engine: client for this workload: TLS is a library's business",
        )
