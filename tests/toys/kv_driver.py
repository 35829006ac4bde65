"""The driver `kv`: commands of a scenario as templates, a plain connection, keys written before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.drivers.redis.commands import command_template
from bench.drivers.templates import Vocabulary, variable_of
from bench.engine.wire.layout import LOOKUP_ONE, NO_LOOKUP
from bench.plan.program import Program, Step, Template
from bench.registry import DriverSpec
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import RespClient

if TYPE_CHECKING:
    from bench.engine.wire.dialler import Dialler, Stream
    from bench.scenario.workloads import Workload
    from bench.stack.target import Target

DRIVER = DriverSpec(
    name="kv",
    kind="kv",
    module=__name__,
    protocol="resp",
    forms=("command",),
    settings=("keys", "value", "pipeline"),
    answers="lookups",
)


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:
    """One command per operation; `{key}` is variable 0."""
    keys = workload.keys
    assert keys is not None
    templates = []
    for name, operation in workload.operations.items():
        assert operation.command is not None
        writer = command_template(operation.command, Vocabulary(workload, seed))
        lookup = LOOKUP_ONE if operation.command[0] == "GET" else NO_LOOKUP
        step = Step(bytes(writer.content), 1, tuple(writer.fields), (lookup,))
        templates.append(Template(name, (step,)))
    weights = [operation.weight for operation in workload.operations.values()]
    return Program.build(templates, weights, [variable_of(keys, keys.count, 0)], key_variable=0)


async def connect(
    dial: Dialler,
    target: Target,
    workload: Workload,
    *,
    subscriber: bool,
) -> Stream:
    """A connection: nobody logs in."""
    assert not subscriber
    return await dial()


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Write every key once, where the scenario asks for it."""
    keys = workload.keys
    if keys is None or not keys.preload:
        return
    value = "x" * (workload.value.bytes if workload.value else 1)
    try:
        with RespClient(target.host, target.port, deadline_s=5.0) as server:
            for number in range(keys.count):
                server.ask("SET", f"{keys.prefix}{number:0{keys.width}d}", value)
    except ProbeError as error:
        advice = "check its log"
        raise TargetError(
            target.name, target.address, "every key to be written", str(error), advice
        ) from None
