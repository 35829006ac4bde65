"""How a check or a run came out. The worst one wins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from bench.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable


class Status(IntEnum):
    """A lattice: the higher of two wins.

    INCONCLUSIVE stands below FAIL because a rule that is known to be broken stays broken,
    INVALID above all because such a run says nothing at all.
    """

    PASS = 0
    """The rule holds."""
    WARN = 1
    """The rule holds, its warning level does not."""
    INCONCLUSIVE = 2
    """The run cannot tell."""
    FAIL = 3
    """The rule is broken."""
    INVALID = 4
    """What was measured is not the system: the run says nothing."""


EXIT_CODES = {
    Status.PASS: ExitCode.OK,
    Status.WARN: ExitCode.OK,
    Status.INCONCLUSIVE: ExitCode.UNKNOWN,
    Status.FAIL: ExitCode.SLA_FAILED,
    Status.INVALID: ExitCode.UNKNOWN,
}


def worst(statuses: Iterable[Status]) -> Status:
    """The highest status; INCONCLUSIVE for none, because nothing was judged."""
    return max(statuses, default=Status.INCONCLUSIVE)


def exit_code(statuses: Iterable[Status]) -> ExitCode:
    """What the shell is told about several verdicts: that of the worst."""
    return EXIT_CODES[worst(statuses)]


@dataclass(frozen=True)
class Doubt:
    """A status in place of the plain comparison's, with its reason."""

    status: Status
    because: str
    advice: str | None
