"""Redis publish and subscribe: `publish` is planned, `deliver` is what each subscriber receives."""

from bench.drivers.redis.commands import encode
from bench.drivers.redis.wire import logged_in
from bench.engine.wire.dialler import Dialler, Stream
from bench.engine.wire.layout import FROM_PLANNED, FROM_PUBLISHER, FROM_SEQUENCE, FROM_VARIABLE
from bench.engine.wire.subscriber import (
    CHANNEL_DIGITS,
    HEAD_DIGITS,
    PLANNED_DIGITS,
    PUBLISHER_DIGITS,
    SEQUENCE_DIGITS,
)
from bench.plan.draws import STREAM_FIRST_VARIABLE, UNIFORM, variable_row
from bench.plan.program import Field, Program, Template
from bench.scenario.templates import filler
from bench.scenario.workloads import Workload
from bench.stack.target import Target

DEFAULT_MESSAGE_BYTES = 128


def channel_name(workload: Workload, number: int) -> str:
    """Name of a channel, of fixed width, ending in its number. No two workloads share one."""
    return f"bench:{workload.name}:{number:0{int(CHANNEL_DIGITS)}d}"


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """PUBLISH with a payload that begins with publisher, channel, sequence number and planned time."""
    size = workload.value.bytes if workload.value else DEFAULT_MESSAGE_BYTES
    payload = b"0" * int(HEAD_DIGITS) + filler(size - int(HEAD_DIGITS), seed)
    name = channel_name(workload, 0)
    content = encode("PUBLISH", name, payload)
    name_at = content.index(name.encode()) + len(name) - int(CHANNEL_DIGITS)
    at = content.rindex(payload)
    fields = [Field(name_at, int(CHANNEL_DIGITS), FROM_VARIABLE, 0)]
    for width, source in (
        (PUBLISHER_DIGITS, FROM_PUBLISHER),
        (CHANNEL_DIGITS, FROM_VARIABLE),
        (SEQUENCE_DIGITS, FROM_SEQUENCE),
        (PLANNED_DIGITS, FROM_PLANNED),
    ):
        fields.append(Field(at, int(width), source))
        at += int(width)
    channels = variable_row(UNIFORM, workload.channels or 1, int(STREAM_FIRST_VARIABLE))
    publish = Template.single("publish", content, 1, tuple(fields))
    deliver = Template.single("deliver", b"", 0)
    return Program.build([publish, deliver], [1.0, 0.0], [channels], channel_variable=0)


async def connect(dial: Dialler, target: Target, workload: Workload, *, subscriber: bool) -> Stream:
    """Log in; a subscriber also asks for every channel. The confirmations are the loop's to read,
    because messages may follow them at once.
    """
    names = [channel_name(workload, number) for number in range(workload.channels or 1)]
    return await logged_in(dial, target, workload, encode("SUBSCRIBE", *names) if subscriber else b"")


def prepare(target: Target, workload: Workload, seed: int) -> None:  # noqa: ARG001 - the drivers' common form
    """Channels need no preparation. Raises TargetError for a cluster."""
    if target.nodes:
        advice = "use the driver redis, whose lanes follow hash slots, or name a server of its own by url"
        raise target.error("a Redis that is one server, for redis_pubsub", "a cluster", advice)
