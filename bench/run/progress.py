"""What a person sees while a run goes on: a live line on a terminal, a plain line now and then elsewhere."""

import contextlib
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import Protocol, TextIO

from bench.core.clock import NS_PER_S
from bench.core.sanitize import visible
from bench.core.units import format_duration_ns, format_rate, format_ratio

RATE_OVER_NS = 500_000_000
PLAIN_EVERY_NS = 5_000_000_000
PLAIN_WIDTH = 79
"""Of a log, and of a terminal that does not report its own: with the last column free, no line wraps."""
LABEL, LEAST_LABEL, BAR = 15, 11, 10
MANY_SECONDS_NS = 600_000_000_000


@dataclass(frozen=True)
class ProgressSnapshot:
    """A run at one moment; times in ns from run zero."""

    now_ns: int
    total_ns: int
    phase: str
    rate_per_s: float | None
    """None before it is known."""
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


class Pace:
    """The rate at which arrivals end, over half a second at least.

    A window may be shorter than a gap of the plan, and the counts are read later than it ends: what is
    divided by less is no rate.
    """

    def __init__(self) -> None:
        self._mark = (0, 0)
        self._rate_per_s: float | None = None

    def after(self, now_ns: int, ended: int) -> float | None:
        """The rate when `ended` arrivals have ended; None until there is one."""
        since_ns, ended_then = self._mark
        if now_ns - since_ns >= RATE_OVER_NS:
            self._rate_per_s = (ended - ended_then) / (now_ns - since_ns) * NS_PER_S
            self._mark = (now_ns, ended)
        return self._rate_per_s


class Progress(Protocol):
    """Where the session reports its progress; everything goes to standard error."""

    def step(self, text: str) -> None:
        """Something before or after the run: connecting, calibrating, writing."""

    def look(self, look: ProgressSnapshot) -> None:
        """A moment of the run."""

    def close(self) -> None:
        """The run is over."""


class Silent:
    """Says nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def look(self, look: ProgressSnapshot) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def line_of(look: ProgressSnapshot, width: int = PLAIN_WIDTH) -> str:
    """One line of at most `width` columns. What has no room is left out as a whole: lanes, bar, P95."""
    p95 = format_duration_ns(look.p95_ns) if look.p95_ns is not None else "-"
    left_ns = max(look.total_ns - look.now_ns, 0)
    # Seconds as long as people read them as such: a time whose unit changes jumps about.
    left = f"{left_ns / NS_PER_S:.0f} s" if left_ns < MANY_SECONDS_NS else format_duration_ns(left_ns)
    # Rooms are fixed, or the line would dance with every number.
    parts = {
        "bar": _bar(look),
        "rate": f"{'-' if look.rate_per_s is None else format_rate(look.rate_per_s):>9}",
        "p95": f"P95 {p95:>7}",
        "errors": f"errors {format_ratio(look.error_ratio):>7}",
        "lanes": f"{look.connected:>5} lanes",
        "left": f"{left:>5} left",
    }
    for optional in ("lanes", "bar", "p95"):
        if sum(len(part) + 2 for part in parts.values()) + LEAST_LABEL <= width:
            break
        del parts[optional]
    shown = "  ".join(parts.values())
    room = max(width - len(shown) - 2, LEAST_LABEL)
    return f"{_shortened(look.under_way or look.phase, room):<{min(room, LABEL)}}  {shown}"[:width]


def _bar(look: ProgressSnapshot) -> str:
    done = min(max(look.now_ns / look.total_ns, 0.0), 1.0) if look.total_ns else 1.0
    full = round(done * BAR)
    return "#" * full + "-" * (BAR - full)


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."


def write(stream: TextIO, text: str) -> None:
    """Write immediately. A reader that has gone is no reason to end a run."""
    with contextlib.suppress(OSError):
        stream.write(text)
        stream.flush()


def _columns() -> int:
    """Of the terminal, the last one left free."""
    return shutil.get_terminal_size((PLAIN_WIDTH + 1, 24)).columns - 1


class Plain:
    """For logs: a line at every step, and one every few seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._next_ns = 0

    def step(self, text: str) -> None:
        """Print the step."""
        write(self._stream, visible(text) + "\n")

    def look(self, look: ProgressSnapshot) -> None:
        """Print a line when the last is some seconds old; the first once there is a rate."""
        if look.now_ns >= self._next_ns and look.rate_per_s is not None:
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
        """Print the step by itself, in lines that end between words."""
        self._clear()
        lines = textwrap.wrap(visible(text), _columns(), break_long_words=False, break_on_hyphens=False)
        write(self._stream, "\n".join(lines) + "\n")

    def look(self, look: ProgressSnapshot) -> None:
        """Write over the last line."""
        write(self._stream, "\r" + visible(line_of(look, _columns())) + "\x1b[K")
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


@dataclass
class LiveLine:
    """The live line of one of many runs, without the steps before it: the first has shown them."""

    progress: Progress

    def step(self, text: str) -> None:
        """Nothing."""

    def look(self, look: ProgressSnapshot) -> None:
        """As it is."""
        self.progress.look(look)

    def close(self) -> None:
        """As it is."""
        self.progress.close()
