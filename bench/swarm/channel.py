"""The agent's end of its conversation with the process that started it: JSON, one object a line.

An object with `do` goes to the agent, one with `say` comes from it. Lines are written by a separate
thread, so that a slow reader does not block the run. The end of the agent's input is its own end.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bench.core.errors import ExitCode, UsageError
from bench.core.sanitize import visible
from bench.results.layout import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.core.clock import WallLabel
    from bench.core.histogram import Counts
    from bench.judge.verdict import Verdict
    from bench.run.plugins import WindowView
    from bench.run.progress import ProgressSnapshot


CHUNK_BYTES = 1 << 20
MOST_WAITING = 2_000
"""Lines that wait for a parent that does not read; what may be left out is left out beyond."""


class LineWriter:
    """Writes objects to a stream in the order in which they are said, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def say(self, what: str, /, **fields: Any) -> None:
        """Say one thing. Nothing in `fields` may change afterwards."""
        self._waiting.put({**fields, "say": what})

    @property
    def is_far_behind(self) -> bool:
        """Whether the reader does not keep up: what it can do without is then better not said."""
        return self._waiting.qsize() > MOST_WAITING

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for so long at most. Nothing may be said afterwards."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _write(self) -> None:
        try:
            while (one := self._waiting.get()) is not None:
                self._stream.write(json.dumps(one, ensure_ascii=False, default=plain).encode() + b"\n")
                if self._waiting.empty():
                    self._stream.flush()
            self._stream.flush()
        except OSError:
            while self._waiting.get() is not None:
                pass  # the reader has gone; the end of our own input says so too, and ends the run


def read_lines(descriptor: int) -> Iterator[dict[str, Any]]:
    """The objects that come over a descriptor, until it ends. Raises UsageError for a line that is none.

    A thread may stay in here when the process ends: a buffered file would then wait for its lock for ever.
    """
    rest = b""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        for line in lines:
            yield _object(line)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(
            "bench agent: expected a JSON object on each line of standard input, found something else; "
            "it is started by bench ui and by bench/swarm/locustfile.py, not by hand"
        )
    return found


ENDING_S = 45.0
"""How long an agent whose parent is gone may take to undo what it did. Then it just ends: servers have
supervisors and faults have reapers, which see to it that nothing stays."""


class ControlChannel:
    """Both directions of one agent's conversation."""

    def __init__(self, orders: Iterator[dict[str, Any]], lines: LineWriter) -> None:
        self.lines = lines
        self._orders = orders
        self._thread: threading.Thread | None = None

    def first_order(self) -> dict[str, Any]:
        """What to do at all. Raises UsageError where the parent says nothing of use."""
        order = next(self._orders, None)
        if order is None:
            raise UsageError("bench agent: expected an order on standard input, found its end")
        return order

    def listen(self, on_order: Callable[[dict[str, Any]], None], on_end: Callable[[], None]) -> None:
        """Call `on_order` for each further order and `on_end` when the parent has gone, in a thread."""

        def run() -> None:
            with contextlib.suppress(UsageError, OSError):  # a parent that talks nonsense is none
                for order in self._orders:
                    on_order(order)
            watch = threading.Timer(ENDING_S, os._exit, (ExitCode.INTERRUPTED,))
            watch.daemon = True
            watch.start()
            on_end()

        self._thread = threading.Thread(target=run, name="orders", daemon=True)
        self._thread.start()


@contextlib.contextmanager
def parent_process() -> Iterator[ControlChannel]:
    """The conversation over standard input and output, which nobody else can then read or write.

    What libraries and servers print to standard output goes to standard error.
    """
    sys.stdout.flush()
    source = os.dup(0)  # never closed: a thread may read it until the end
    with os.fdopen(os.dup(1), "wb") as sink:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        lines = LineWriter(sink)
        try:
            yield ControlChannel(read_lines(source), lines)
        finally:
            lines.close()


WORKLOAD_FACTS = ("name", "driver", "operations", "arrivals", "rate_per_s", "lanes", "deadline_ns")
PHASE_FACTS = ("name", "measured", "start_ns", "end_ns")


def sparse(counts: Counts) -> tuple[list[int], list[int]]:
    """Indexes of the buckets that hold something, and what they hold."""
    used = counts.nonzero()[0]
    return used.tolist(), counts[used].tolist()


class EventPublisher:
    """See bench.run.plugins.Watcher and bench.run.progress.Progress for the methods."""

    def __init__(self, lines: LineWriter, segments: int = 1) -> None:
        self._lines = lines
        self._segments = segments

    def step(self, text: str) -> None:
        """Something before or after the run."""
        self._lines.say("step", text=visible(text))

    def look(self, look: ProgressSnapshot) -> None:
        """Nothing: the windows tell more."""

    def started(self, record: dict[str, Any], zero: WallLabel) -> None:
        """What will run, and when its run zero is."""
        self._lines.say(
            "started",
            run=record["run"],
            scenario=record["scenario"]["name"],
            purpose=record["scenario"]["purpose"],
            rules=record["sla"],
            phases=[{fact: phase[fact] for fact in PHASE_FACTS} for phase in record["phases"]],
            workloads=[{fact: one[fact] for fact in WORKLOAD_FACTS} for one in record["workloads"]],
            wall_ns=zero.wall_ns,
            segments=self._segments,
        )

    def window(self, view: WindowView) -> None:
        """One closed window with what its histograms gained, exact."""
        if self._lines.is_far_behind:
            return
        self._lines.say(
            "window",
            start_ns=view.start_ns,
            end_ns=view.end_ns,
            phase=view.phase,
            under_way=view.under_way,
            series=view.series,
            gains=[[str(tag), *sparse(counts)] for tag, counts in view.gains],
        )

    def event(self, entry: dict[str, Any]) -> None:
        """An entry of events.jsonl."""
        self._lines.say("event", **entry)

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        self._lines.say("ended", path=str(path.resolve()), interrupted=interrupted)

    def judged(self, verdict: Verdict) -> None:
        """The verdict, and the exit code that belongs to it."""
        from bench.judge.verdict import exit_code

        code = int(exit_code([verdict.status]))
        self._lines.say("judged", verdict=verdict.to_json(), exit_code=code)

    def close(self) -> None:
        """Nothing is held."""
