"""Redis: any command as a template, keys and values from the plan."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.drivers.redis.commands import CommandWriter, encode, key_width
from bench.drivers.redis.connection import log_in
from bench.drivers.redis.lookups import lookup_of
from bench.drivers.values import value_content
from bench.drivers.variables import variable_of
from bench.plan.program import Program, Step, Template

if TYPE_CHECKING:
    from bench.scenario.model import Workload
    from bench.stack.target import Target

PRELOAD_BATCH, PRELOAD_BATCH_BYTES = 5_000, 8_000_000
PRELOAD_TIMEOUT_S = 30.0


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """One template per operation; `{key}` is variable 0."""
    keys = workload.keys
    variables = [variable_of(keys, keys.count, 0)] if keys is not None else []
    templates = []
    for name, operation in workload.operations.items():
        writer = CommandWriter(
            prefix=keys.prefix if keys else "",
            key_count=keys.count if keys else 0,
            key_variable=0,
            value_bytes=workload.value.bytes if workload.value else 0,
            seed=seed,
        )
        for command in operation.all_commands:
            writer.add(command)
        lookups = tuple(lookup_of(command) for command in operation.all_commands)
        step = Step(bytes(writer.content), len(lookups), tuple(writer.fields), lookups)
        templates.append(Template(name, (step,)))
    weights = [operation.weight for operation in workload.operations.values()]
    return Program.build(templates, weights, variables, key_variable=0 if keys else -1)


async def connect(
    dial: Callable[[], Awaitable[socket.socket]], target: Target, workload: Workload, *, subscriber: bool
) -> int:
    """Dial and log in; this driver has no subscribers."""
    assert not subscriber
    connection = await dial()
    try:
        await log_in(connection, target, workload)
    except BaseException:
        connection.close()
        raise
    return connection.detach()


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Write every key once, where the scenario says `preload: true`."""
    keys = workload.keys
    if keys is None or not keys.preload:
        return
    content, _ = value_content(workload.value.bytes if workload.value else 1, seed)
    width = key_width(keys.count)
    login = (
        [encode("AUTH", *([target.username] if target.username else []), target.password)]
        if target.password
        else []
    )
    login += [encode("SELECT", target.db)] if target.db else []
    try:
        with socket.create_connection((target.host, target.port), timeout=PRELOAD_TIMEOUT_S) as connection:
            _exchange(connection, login, target)
            batch = min(PRELOAD_BATCH, PRELOAD_BATCH_BYTES // len(content) + 1)
            for first in range(0, keys.count, batch):
                names = (f"{keys.prefix}{n:0{width}d}" for n in range(first, min(first + batch, keys.count)))
                _exchange(connection, [encode("SET", name, content) for name in names], target)
    except OSError as error:
        raise _failed(target, f"{error}") from error


def _exchange(connection: socket.socket, commands: list[bytes], target: Target) -> None:
    import hiredis

    connection.sendall(b"".join(commands))
    reader = hiredis.Reader()
    left = len(commands)
    while left:
        data = connection.recv(262_144)
        if not data:
            raise _failed(target, "the connection closed by the server")
        reader.feed(data)
        while left and (reply := reader.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                raise _failed(target, f"the answer '{reply}'")
            left -= 1


def _failed(target: Target, found: str) -> TargetError:
    return TargetError(
        target.name,
        target.address,
        "every key to be written before the run",
        found,
        "check its memory and its rights",
    )
