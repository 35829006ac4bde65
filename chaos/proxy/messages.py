"""What harness and proxy say to each other: a frozen class for each message, one JSON object a line.

    harness ── stdin ──▶ proxy      Specification first, then Add, Remove, Clear, AskEffects, AskStats, LeadTo
    harness ◀── stdout ── proxy     Listening or Failed first; each answer in order, after it is done

A line has the number of the message that it is, or answers, and the name of its class. Both ends are of one
version.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args


@dataclass(frozen=True)
class Specification:
    """What a proxy is to be."""

    harness_pid: int
    upstream_host: str
    upstream_port: int
    listen_host: str
    listen_port: int
    dial_deadline_ns: int
    gauges: int
    """The descriptor of the shared memory."""
    packages: tuple[str, ...] | None
    """Where the compiled loop's packages are; None: do without it."""


@dataclass(frozen=True)
class Add:
    """Bring a toxic into force."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Remove:
    """Take a toxic away."""

    toxic: int


@dataclass(frozen=True)
class Clear:
    """Take all toxics away."""


@dataclass(frozen=True)
class AskEffects:
    """What has a toxic done?"""

    toxic: int


@dataclass(frozen=True)
class AskStats:
    """What has the proxy done, and what does it hold?"""


@dataclass(frozen=True)
class LeadTo:
    """Connect those that come from now on to another upstream."""

    host: str
    port: int


@dataclass(frozen=True)
class Listening:
    """The proxy is up."""

    host: str
    port: int


@dataclass(frozen=True)
class Failed:
    """The proxy cannot be up."""

    why: str


@dataclass(frozen=True)
class Refused:
    """Toxics that make no sense, or not together: the parts of a ToxicError."""

    where: str
    expected: str
    found: str
    advice: str


@dataclass(frozen=True)
class Done:
    """It is so."""


@dataclass(frozen=True)
class Changed:
    """Toxics came into force or were taken away. Times in ns on CLOCK_MONOTONIC."""

    toxic: int
    """The new one; 0 where there is none."""
    effective_ns: int
    """From then on no byte of any connection, live or new, passed by the old rules."""
    applied_ns: int
    """Every live connection had been dealt with: reset, say, which takes some 30 us each."""
    connections: int
    """How many were live then."""


@dataclass(frozen=True)
class Effects:
    """What a toxic has done so far."""

    count: int
    """How often it acted, in its unit."""
    bytes: int
    """On how many bytes."""


@dataclass(frozen=True)
class ProxyStats:
    """What the proxy has done since its start, and what it holds at `at_ns`."""

    at_ns: int
    accepted: int
    connected: int
    """Of the accepted, so many were given a connection to upstream."""
    upstream_refused: int
    """Clients that were reset because upstream refused."""
    dials_timed_out: int
    dials_failed: int
    """Clients that were reset because the proxy had no descriptor or port left."""
    resets_passed_on: int
    up_bytes: int
    """From clients to upstream."""
    down_bytes: int
    connections: int
    """Live ones."""
    waiting: int
    """Clients without a connection to upstream yet."""
    held_up_bytes: int
    """Read and not sent on yet."""
    held_down_bytes: int
    unread_up_bytes: int
    """Held by a black hole in the kernel."""
    unread_down_bytes: int
    is_listening: bool
    upstream_refuses: bool
    refused_ns: int | None
    """When upstream was last found to refuse."""
    back_ns: int | None
    """When upstream was last found to listen again."""
    relay: str
    """Of the compiled loop: "running", "standing still" under a toxic, "loading", or why there is none."""
    in_force: tuple[int, ...]


Command = Add | Remove | Clear | AskEffects | AskStats | LeadTo
Answer = Listening | Failed | Refused | Done | Changed | Effects | ProxyStats
_COMMANDS: Mapping[str, type[Command]] = {kind.__name__: kind for kind in get_args(Command)}
_ANSWERS: Mapping[str, type[Answer]] = {kind.__name__: kind for kind in get_args(Answer)}


def to_line(number: int, message: Specification | Command | Answer) -> bytes:
    """The line of a message."""
    return json.dumps({"id": number, "is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def read_specification(line: bytes) -> Specification:
    """What the harness says first."""
    return Specification(**_fields(line)[2])


def read_command(line: bytes) -> tuple[int, Command]:
    """A command and its number."""
    number, name, fields = _fields(line)
    return number, _COMMANDS[name](**fields)


def read_answer(line: bytes) -> tuple[int, Answer]:
    """An answer and the number of what it answers."""
    number, name, fields = _fields(line)
    return number, _ANSWERS[name](**fields)


def _fields(line: bytes) -> tuple[int, str, Mapping[str, Any]]:
    entry = json.loads(line)
    number, name = entry.pop("id"), entry.pop("is")
    return (
        number,
        name,
        {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()},
    )


@dataclass(frozen=True)
class Applied:
    """A toxic that was brought into force. Times in ns on CLOCK_MONOTONIC."""

    number: int
    kind: str
    settings: Mapping[str, Any]
    asked_ns: int
    effective_ns: int
    """From then on no byte of any connection, live or new, passed by the old rules."""
    applied_ns: int
    """Every live connection had been dealt with: reset, say, which takes some 30 us each."""
    returned_ns: int
    connections: int
    """How many were live then."""
