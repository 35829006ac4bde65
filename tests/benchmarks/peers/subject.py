"""What is compared: a server, the contestants that load it, and what ours must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.stack.stack import Stack
    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.verdict import Criterion


class Subject(Protocol):
    """A subject that is open: its server is up and its data are in place."""

    title: str
    connections: int
    criteria: Sequence[Criterion]
    contestants: Sequence[Contestant]

    def before_turn(self) -> None:
        """Bring the server into the state in which every turn begins. Raises TurnFailed."""

    def after_turn(self, name: str, result: Result) -> Result:
        """Ask the server whether the turn of `name` was what it should be; its result, with the server's
        own count where it has one. Raises TurnFailed.
        """

    def to_json(self) -> dict[str, Any]:
        """The task and the server, for the record."""


@dataclass(frozen=True)
class Opening:
    """How a subject is to be opened."""

    names: Sequence[str]
    """The contestants that take part."""
    seed: int
    log_dir: Path
    may_install: bool


@dataclass(frozen=True)
class SubjectKind:
    """A subject that can be opened. Opening raises TargetError, or NotInstalled for what its server needs."""

    name: str
    contestants: tuple[str, ...]
    """All that it has, ours first."""
    open: Callable[[Opening], AbstractContextManager[Subject]]


def servers_of(stack: Stack) -> list[dict[str, Any]]:
    """The servers of a stack, for the record."""
    shown = ("kind", "server", "version", "started_by")
    return [{name: getattr(entry, name) for name in shown} for entry in stack.describe()]
