"""What one case is: bytes of a server, and the one end that an arrival may have there in every engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.core.outcome import Outcome
from bench.protocols.state import CLOSED_EARLY, CONNECTION_RESET, TEXTS
from tests.parity.raw_servers import Answer

OK, ERROR, TIMEOUT, RESET = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT, Outcome.RESET

CLOSED = TEXTS[CLOSED_EARLY]
BROKEN_OFF = (CLOSED, TEXTS[CONNECTION_RESET])
"""A reset may reach us as such or, behind bytes of ours, as the end of the connection."""


def unreadable(why: int) -> tuple[str]:
    """The words for an answer that is none of the protocol."""
    return (TEXTS[why],)


@dataclass(frozen=True)
class Case:
    """One server and what it comes to."""

    name: str
    """Letters, digits and underscores."""
    answer: Answer
    outcome: Outcome
    words: tuple[str, ...] = ()
    """The texts that the errors may have; none where there is no error."""
    operation: dict[str, Any] = field(default_factory=dict)
    """What is asked for, where it is not the usual."""


@dataclass(frozen=True)
class Group:
    """Cases that share one run: every one is an operation of its own."""

    driver: str
    name: str
    cases: tuple[Case, ...]
    deadline: str = "5s"
    workload: dict[str, Any] = field(default_factory=dict)
    rate: int = 250
    """Low where something comes behind an answer: before a lane is asked again, that has come."""
    may_cross: bool = False
    """Whether a request may cross the end of its connection on the way, as on a machine that is busy."""
    are_cut: bool = True
    """Whether the answers are also sent one byte at a time."""
