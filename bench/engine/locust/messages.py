"""What the Locust engine and the process of its users say to each other, as JSON, one object a line.

The task is the first line. After it an object with `do` goes to the process, one with `say` comes from it.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from bench.core.answers import ErrorCount
from bench.core.messages import Messages
from bench.plan.plan import UserStretch


@dataclass(frozen=True, kw_only=True)
class UsersTask:
    """What the process must know; the locustfile was read with the scenario."""

    path: str
    user_classes: tuple[str, ...]
    arguments: dict[str, str | tuple[str, ...]] = field(repr=False)
    host: str = field(repr=False)
    """The target's URL with its login."""
    secrets: tuple[str, ...] = field(repr=False)
    lanes: int
    operations: tuple[tuple[str, str], ...]
    """Name and request of each, without the operation that takes all other requests."""
    deadline_ns: int
    phase_ends_ns: tuple[int, ...]
    stretches: tuple[UserStretch, ...]
    rows: int
    board_fd: int
    log: tuple[str, int] | None
    """Path of the operation log, and how many records fit."""


@dataclass(frozen=True)
class BeginUsers:
    """Run zero, on CLOCK_MONOTONIC."""

    start_ns: int
    do: Literal["begin"] = "begin"


@dataclass(frozen=True)
class StopUsers:
    """Let users finish what they are doing, or end them."""

    at_once: bool
    do: Literal["stop"] = "stop"


ToUsers = BeginUsers | StopUsers


@dataclass(frozen=True)
class UsersRefused:
    """The locustfile, or what the workload wants of it, cannot be run."""

    key: str
    expected: str
    found: str
    advice: str
    say: Literal["refused"] = "refused"


@dataclass(frozen=True)
class UsersReady:
    """The locustfile is imported."""

    user_classes: tuple[str, ...]
    say: Literal["ready"] = "ready"


@dataclass(frozen=True, kw_only=True)
class UsersEnded:
    """What the Board cannot hold."""

    shapes: tuple[str, ...]
    hosts: dict[str, str]
    """User class to the host that it names and that is not used."""
    exit_code: int
    exit_by: str
    errors: list[ErrorCount]
    """As run.json has them."""
    unmatched: list[tuple[str, int]]
    task_errors: list[tuple[str, int]]
    stopped_by_others: bool
    killed_blind: int
    without_time: int
    lost_users: int
    own_limits: list[tuple[str, str]]
    counters: dict[str, int]
    say: Literal["ended"] = "ended"


FromUsers = UsersRefused | UsersReady | UsersEnded
TASK: Messages[UsersTask] = Messages(UsersTask)
TO_USERS: Messages[ToUsers] = Messages(Annotated[ToUsers, Field(discriminator="do")])
FROM_USERS: Messages[FromUsers] = Messages(Annotated[FromUsers, Field(discriminator="say")])
