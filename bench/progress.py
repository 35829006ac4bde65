"""What a person sees while a run goes on: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Protocol, TextIO

from bench.units import format_duration_ns, format_rate
from bench.visible import visible

PLAIN_EVERY_NS = 5_000_000_000


@dataclass(frozen=True)
class Look:
    """A run at one moment; times in ns from run zero."""

    now_ns: int
    total_ns: int
    phase: str
    rate_per_s: float
    ok: int
    ended: int
    p95_ns: int | None
    connected: int
    under_way: str = ""
    """The faults that hold."""

    @property
    def error_ratio(self) -> float:
        """Share of ended arrivals that did not end OK."""
        return (self.ended - self.ok) / self.ended if self.ended else 0.0


class Progress(Protocol):
    """Where the session tells how it goes; everything goes to standard error."""

    def step(self, text: str) -> None:
        """Something before or after the run: connecting, calibrating, writing."""

    def look(self, look: Look) -> None:
        """A moment of the run."""

    def close(self) -> None:
        """The run is over."""


class Silent:
    """Says nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def look(self, look: Look) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def line_of(look: Look) -> str:
    """One line of at most 80 columns."""
    left = max(look.total_ns - look.now_ns, 0)
    p95 = format_duration_ns(look.p95_ns) if look.p95_ns is not None else "-"
    return (
        f"{(look.under_way or look.phase)[:14]:<12} {format_rate(look.rate_per_s):>10}  P95 {p95:>8}  "
        f"errors {look.error_ratio * 100:5.2f} %  {look.connected:>5} lanes "
        f"{left / 1e9:5.0f} s left"
    )[:79]


def write(stream: TextIO, text: str) -> None:
    """Write at once. That whoever read it has gone is no reason to end a run."""
    with contextlib.suppress(OSError):
        stream.write(text)
        stream.flush()


class Plain:
    """For logs: a line at every step, and one every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._next_ns = 0

    def step(self, text: str) -> None:
        """Print the step."""
        write(self._stream, visible(text) + "\n")

    def look(self, look: Look) -> None:
        """Print a line when the last is some seconds old."""
        if look.now_ns >= self._next_ns:
            self._next_ns = look.now_ns + PLAIN_EVERY_NS
            self.step(line_of(look))

    def close(self) -> None:
        """Ready for the next run."""
        self._next_ns = 0


class Terminal:
    """A line that is written over, so that the terminal keeps its history."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._open = False

    def step(self, text: str) -> None:
        """Print the step on a line of its own."""
        self._clear()
        write(self._stream, visible(text) + "\n")

    def look(self, look: Look) -> None:
        """Write over the last line."""
        write(self._stream, "\r" + visible(line_of(look)) + "\x1b[K")
        self._open = True

    def close(self) -> None:
        """Take the line away: the report follows."""
        self._clear()

    def _clear(self) -> None:
        if self._open:
            write(self._stream, "\r\x1b[K")
            self._open = False


def progress_for(stream: TextIO | None = None) -> Progress:
    """Terminal where the stream is one, Plain elsewhere."""
    stream = stream or sys.stderr
    return Terminal(stream) if stream.isatty() else Plain(stream)
