"""What every stack can do, and the choice between them."""

import os
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from bench.errors import UsageError
from bench.stack.supervised import StackEvent
from bench.stack.target import Target

LATER_KINDS = ("compose", "docker")


class Stack(Protocol):
    """The services that a scenario needs, running while the stack is open."""

    kind: str

    def start(self) -> None:
        """Bring every needed service up; return when each has answered. Raises TargetError."""

    def targets(self) -> dict[str, Target]:
        """Target name -> where it listens."""

    def describe(self) -> list[dict[str, Any]]:
        """One entry per target, without secrets: name, kind, address, server, version, started_by,
        program, pid, supervisor_pid, state (up or down), log.
        """

    def events(self) -> list[StackEvent]:
        """What happened to services that are ours so far, oldest first."""

    def stop(self) -> None:
        """End what was started. Again is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_stack(kind: str | None, needed: AbstractSet[str], log_dir: Path) -> Stack:
    """Choose a stack for the targets named in `needed`; entering it starts it.

    kind: embedded, external, or None for external where REDIS_URL is set, else embedded.
    Raises UsageError for a kind that does not exist, TargetError for a target it cannot give.
    """
    from bench.stack.embedded import EmbeddedStack
    from bench.stack.external import ExternalStack

    if kind is None:
        kind = "external" if os.environ.get("REDIS_URL") else "embedded"
    if kind == "embedded":
        return EmbeddedStack(needed, log_dir)
    if kind == "external":
        return ExternalStack(needed)
    if kind in LATER_KINDS:
        raise UsageError(f"--stack {kind}: not in this version; use embedded or external")
    raise UsageError(f"--stack: expected embedded or external, found '{kind}'")
