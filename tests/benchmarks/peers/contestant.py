"""What the comparison needs of a tool, and what a tool's turn gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

NS_PER_S = 1e9


class NotInstalled(Exception):  # noqa: N818 - a fact about this machine, not an error of the tool
    """The tool is not here; the text says what to do about it."""


class TurnFailed(Exception):  # noqa: N818 - it says what happened
    """The tool ended without a usable result; the text says how."""


@dataclass(frozen=True)
class Result:
    """One turn as the tool itself reports it."""

    requests: int
    seconds: float
    """The time in which the requests were answered."""
    mean_ns: float
    p50_ns: float | None
    """None, as `p99_ns`: the tool does not tell."""
    p99_ns: float | None
    cpu_s: float
    """Processor time that the tool used in that time, all its threads."""
    is_mean_measured: bool = True
    """Not where the tool divides the time by the requests: then Little's law says nothing."""
    counted: int | None = None
    """The server's own count of what it did in the turn; None where it does not count."""

    @property
    def throughput_per_s(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds

    def little(self, connections: int) -> float | None:
        """Throughput x mean latency / connections: 1 when no time in a closed loop is hidden.

        None where the mean is no measurement.
        """
        if not self.is_mean_measured:
            return None
        return self.throughput_per_s * self.mean_ns / NS_PER_S / connections

    def to_json(self, connections: int) -> dict[str, Any]:
        """For the record."""
        return {
            "requests": self.requests,
            "seconds": self.seconds,
            "throughput_per_s": self.throughput_per_s,
            "mean_ns": self.mean_ns,
            "p50_ns": self.p50_ns,
            "p99_ns": self.p99_ns,
            "little": self.little(connections),
            "cpu_s": self.cpu_s,
            "counted": self.counted,
        }


class Contestant(Protocol):
    """A tool that takes turns. It is told at its making what to do and where."""

    @property
    def name(self) -> str:
        """Short, in the table and for --only."""

    def available(self) -> str:
        """The tool's version; installs it where it was allowed to. Raises NotInstalled."""

    def run(self, seconds: float) -> Result:
        """One turn of about `seconds`, from nothing open to nothing open. Raises TurnFailed."""
