"""Redis: any command as a template, keys and values from the plan; log-in, and what a refusal means."""

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.core.errors import StatementRefused, TargetError
from bench.core.sanitize import redacted
from bench.drivers.redis.commands import command_template, encode, key_at, lookup_of
from bench.drivers.templates import TemplateWriter, Vocabulary, variables_of
from bench.engine.api import STEP_S, PlacedStep, steps_at
from bench.engine.wire.dialler import Dialler, Stream
from bench.plan.program import Program, Step, Template
from bench.scenario.templates import value_content
from bench.scenario.workloads import Workload
from bench.stack.cluster import SLOTS, slot_of
from bench.stack.probes.connection import dialled, hang_up
from bench.stack.probes.redis import auth_words, login_commands
from bench.stack.target import Target

_ADVICE = (
    ("LOADING", "wait until it has loaded its data"),
    ("CLUSTERDOWN", "wait until every slot has a primary that serves it, or see CLUSTER NODES"),
    ("MASTERDOWN", "wait until it has its primary back"),
    ("BUSY ", "wait for the script that it runs, or end that with SCRIPT KILL"),
    ("DENIED", "connect from its own machine, or give it a password"),
    ("NOAUTH", "put the password into the URL: redis://:password@host:port"),
    ("WRONGPASS", "check the user and the password in the URL"),
    ("NOPERM", "give the user the right to this command"),
    ("NOPROTO", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR unknown command 'HELLO'", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR unknown command `HELLO`", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR unknown command", "correct the command, which this server does not know"),
    ("ERR max number of clients", "use fewer lanes, end unused connections, or raise maxclients"),
    ("ERR DB index", "check the number of the database in the URL"),
    ("ERR invalid DB index", "check the number of the database in the URL"),
    ("ERR AUTH", "leave the password out of the URL, or set one on the server"),
    ("ERR Client sent AUTH", "leave the password out of the URL, or set one on the server"),
)
_OTHERWISE = "look into the server's log"


def advice_for_refusal(answer: str) -> str:
    """What a reader of `answer`, an error of a Redis to a client that begins, should do."""
    return next((advice for start, advice in _ADVICE if answer.startswith(start)), _OTHERWISE)


async def log_in(connection: Stream, target: Target, workload: Workload) -> None:
    """AUTH, protocol version, database, name, PING: all in one write; every answer read and checked.

    Raises TargetError where the server refuses one, ConnectionError where it hangs up.
    """
    import hiredis

    commands: list[tuple[str, bytes]] = []
    if (words := auth_words(target)) is not None:
        commands.append(("AUTH", encode(*words)))
    if workload.resp == 3:
        commands.append(("HELLO 3", encode("HELLO", 3)))
    if target.db:
        commands.append((f"SELECT {target.db}", encode("SELECT", target.db)))
    commands.append(("CLIENT SETNAME", encode("CLIENT", "SETNAME", f"holdfast-{workload.name}")))
    for index, step in enumerate(workload.first_commands):
        commands.append((f"connect[{index}] ({step[0]})", encode(*step)))
    commands.append(("PING", encode("PING")))
    await connection.send(b"".join(content for _, content in commands))
    reader = hiredis.Reader()
    for name, _ in commands:
        try:
            reply = await _next_reply(connection, reader)
        except hiredis.ProtocolError:
            raise target.error(
                f"a Redis that answers {name}",
                "bytes that are no reply of Redis",
                "check the port: something else listens there",
            ) from None
        if name == "PING" and not isinstance(reply, hiredis.ReplyError) and reply != b"PONG":
            raise target.error(
                "PONG",
                f"the answer {str(reply)[:80]!r}",
                "check the port: something else than a Redis listens there",
            )
        is_error = isinstance(reply, hiredis.ReplyError)
        if is_error and name == "PING" and str(reply).startswith("NOPERM"):
            continue  # a Redis that let us in, and whose user may do what the load asks, not PING
        if is_error and name != "CLIENT SETNAME":
            # During the run the connector tries again: LOADING and the like pass.
            raise target.error(
                f"{name} to be answered",
                f"the answer '{_said(reply, target, workload.first_commands)}'",
                advice_for_refusal(str(reply)),
            )


def _said(reply: object, target: Target, commands: Iterable[Sequence[str]]) -> str:
    """An error in the server's words, which may quote what it was sent."""
    words = [word for command in commands for word in command[1:]]
    return redacted(str(reply), [target.password, *words])


async def _next_reply(connection: Stream, reader: Any) -> object:
    while (reply := reader.gets()) is False:
        data = await connection.receive()
        if not data:
            raise ConnectionResetError("the server closed the connection while we logged in")
        reader.feed(data)
    return reply


PRELOAD_BATCH, PRELOAD_BATCH_BYTES = 5_000, 8_000_000
PRELOAD_TIMEOUT_S = 30.0
SILENCE = "no answer in time"


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """One template per operation. The key, or without one the first parameter, is what the operation log
    calls the key.
    """
    variables = variables_of(workload)
    vocabulary = Vocabulary(workload, seed)
    templates = []
    for name, operation in workload.operations.items():
        writer = TemplateWriter(vocabulary)
        for command in operation.all_commands:
            writer.include(command_template(command, vocabulary))
        lookups = tuple(lookup_of(command) for command in operation.all_commands)
        step = Step(bytes(writer.content), len(lookups), tuple(writer.fields), lookups)
        templates.append(Template(name, (step,)))
    weights = [operation.weight for operation in workload.operations.values()]
    return Program.build(templates, weights, variables, key_variable=0 if variables else -1)


def key_words(workload: Workload) -> list[int]:
    """For each operation, which word of its first command is the key; -1 where it has none."""
    return [key_at(operation.all_commands[0]) for operation in workload.operations.values()]


async def connect(dial: Dialler, target: Target, workload: Workload, *, subscriber: bool) -> Stream:
    """Dial and log in; this driver has no subscribers."""
    assert not subscriber
    return await logged_in(dial, target, workload)


async def logged_in(dial: Dialler, target: Target, workload: Workload, then: bytes = b"") -> Stream:
    """Dial, log in and send what comes after it, whose answer is the loop's to read."""
    connection = await dial()
    try:
        await log_in(connection, target, workload)
        if then:
            await connection.send(then)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Write every key once, where the scenario says `preload: true`. What every connection begins with is
    tried out before.
    """
    perform(target, workload, steps_at("connect", workload.connect))
    keys = workload.keys
    if keys is None or not keys.preload:
        return
    content, _ = value_content(workload.value.bytes if workload.value else 1, seed)
    login = [encode(*words) for words in login_commands(target)]
    batch = min(PRELOAD_BATCH, PRELOAD_BATCH_BYTES // len(content) + 1)
    try:
        with ExitStack() as opened:
            connections: dict[Target, socket.socket] = {}
            home = _home_of_keys(target)
            for first in range(0, keys.count, batch):
                written = defaultdict[Target, list[bytes]](list)
                for number in range(first, min(first + batch, keys.count)):
                    name = f"{keys.prefix}{number:0{keys.width}d}".encode()
                    written[home(name)].append(encode("SET", name, content))
                for place, commands in written.items():
                    if place not in connections:
                        connections[place] = opened.enter_context(dialled(place, PRELOAD_TIMEOUT_S))
                        _require(_exchange(connections[place], login), target)
                    _require(_exchange(connections[place], commands), target)
    except OSError as error:
        raise _failed(target, f"{error}") from error


def _home_of_keys(target: Target) -> Callable[[bytes], Target]:
    """Who has a key: the target itself, or the node of a cluster that serves its slot. Raises OSError."""
    if not target.nodes:
        return lambda _: target
    view = target.cluster_view(PRELOAD_TIMEOUT_S)
    homes = {slot: target.at(*node.endpoint) for slot in range(SLOTS) if (node := view.owner_of(slot))}
    return lambda key: homes[slot_of(key)]


def perform(
    target: Target,
    workload: Workload,  # noqa: ARG001 - the drivers' common form
    steps: Sequence[PlacedStep],
    run_label: int = 0,  # noqa: ARG001 - the commands have it already
    opened: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Have commands carried out one after the other; see StepDriver."""
    if not steps:
        return
    login = [encode(*words) for words in login_commands(target)]

    def let_in(place: Target) -> socket.socket:
        connection = dialled(place, STEP_S)
        opened(partial(hang_up, connection))
        _require(_exchange(connection, login), target, "to be let in for the steps around the load")
        return connection

    try:
        with let_in(target) as connection:
            for path, words in steps:
                said = _exchange(connection, [encode(*words)])
                if said is not None and target.nodes and said.startswith("MOVED "):
                    host, _, port = said.split()[2].rpartition(":")
                    with let_in(target.at(host or target.host, int(port))) as other:
                        said = _exchange(other, [encode(*words)])
                if said is not None:
                    found = f"the answer '{_said(said, target, [words])}'"
                    raise StatementRefused(
                        path, None, "a command that the server accepts", found, advice_for_refusal(said)
                    )
    except OSError as error:
        expected = f"an answer to every command of {steps[0].path[0]}"
        raise target.error(expected, str(error) or SILENCE, _OTHERWISE) from None


def _exchange(connection: socket.socket, commands: list[bytes]) -> str | None:
    """Send commands and read all answers; the first error among them."""
    import hiredis

    connection.sendall(b"".join(commands))
    reader = hiredis.Reader()
    left, said = len(commands), None
    while left:
        data = connection.recv(262_144)
        if not data:
            raise ConnectionResetError("the connection closed by the server")
        reader.feed(data)
        while left and (reply := reader.gets()) is not False:
            if isinstance(reply, hiredis.ReplyError):
                said = said or str(reply)
            left -= 1
    return said


def _require(
    said: str | None, target: Target, expected: str = "every key to be written before the run"
) -> None:
    """Raise TargetError for an error among answers."""
    if said is not None:
        raise target.error(expected, f"the answer '{said}'", advice_for_refusal(said))


def _failed(target: Target, found: str) -> TargetError:
    return target.error("every key to be written before the run", found, "check its memory and its rights")
