"""The agent's end of its conversation with the process that started it (bench.swarm.messages).

Lines are written by a separate thread, so that a slow reader does not block the run. The end of the agent's
input is its own end.
"""

import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from bench.core.clock import WallLabel
from bench.core.errors import ExitCode, UsageError
from bench.core.messages import Event, MessageError
from bench.core.sanitize import visible
from bench.judge.verdict import Verdict, exit_code
from bench.results.run_record import RunRecord
from bench.run.plugins import WindowView
from bench.run.progress import ProgressSnapshot
from bench.swarm import messages
from bench.swarm.messages import FROM_AGENT, TO_AGENT, FromAgent, HostRequest, RunRequest, ToAgent

CHUNK_BYTES = 1 << 20
MOST_WAITING = 2_000
"""Lines that wait for a parent that does not read; beyond that, windows are left out."""

ENDING_S = 45.0
"""How long an agent whose parent is gone may take to undo what it did. Then it just ends: servers have
supervisors and faults have watchdogs, which see to it that nothing stays."""

EXPECTED = {
    "scenario": "a path",
    "overrides": "a list of KEY=VALUE",
    "quick": "true or false",
    "stack": "a name or null",
    "out": "a path",
    "seed": "a whole number of 0 to 2^63 - 1, or null",
    "workers": "a list of names",
}
"""What the fields of a request for a run are."""


class LineWriter:
    """Writes messages to a stream in their order, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[FromAgent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self._thread.start()

    def write(self, message: FromAgent) -> None:
        """Write one message. Nothing in it may change afterwards."""
        self._waiting.put(message)

    @property
    def is_far_behind(self) -> bool:
        """Whether the reader does not keep up: what it can do without is then better left out."""
        return self._waiting.qsize() > MOST_WAITING

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for so long at most. Nothing may be written afterwards."""
        self._waiting.put(None)
        self._thread.join(seconds)

    def _write(self) -> None:
        try:
            while (message := self._waiting.get()) is not None:
                self._stream.write(FROM_AGENT.write(message))
                if self._waiting.empty():
                    self._stream.flush()
            self._stream.flush()
        except OSError:
            while self._waiting.get() is not None:
                pass  # the reader has gone; the end of our own input says so too, and ends the run


def read_lines(descriptor: int) -> Iterator[ToAgent]:
    """The messages that come over a descriptor, until it ends. Raises UsageError for anything else.

    A thread may stay in here when the process ends: a buffered file would then wait for its lock for ever.
    """
    rest = b""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        for line in lines:
            yield read_order(line)


def read_order(line: bytes) -> ToAgent:
    """One message to the agent. Raises UsageError that names the key."""
    try:
        return TO_AGENT.read(line)
    except MessageError as error:
        place = error.place.split(".")
    try:
        given = json.loads(line)
        order = given.get("do")
    except (AttributeError, ValueError):
        raise UsageError(
            "bench agent: expected a JSON object on each line of standard input, found something else; "
            "it is started by bench ui and by bench/swarm/locustfile.py, not by hand"
        ) from None
    if place[0] != "run":
        raise UsageError(f"bench agent: expected the order run or host, found {order!r:.80}")
    key = place[1]
    raise UsageError(
        f"order run: {key}: expected {EXPECTED[key]}, found {given.get(key)!r:.80}; correct the order"
    )


class ControlChannel:
    """Both directions of one agent's conversation."""

    def __init__(self, orders: Iterator[ToAgent], lines: LineWriter) -> None:
        self.lines = lines
        self._orders = orders
        self._thread: threading.Thread | None = None

    def first_request(self) -> RunRequest | HostRequest:
        """What to do at all. Raises UsageError where the parent says nothing of use."""
        order = next(self._orders, None)
        if order is None:
            raise UsageError("bench agent: expected an order on standard input, found its end")
        if not isinstance(order, RunRequest | HostRequest):
            raise UsageError(f"bench agent: expected the order run or host, found {order.do!r}")
        return order

    def listen(self, on_order: Callable[[ToAgent], None], on_end: Callable[[], None]) -> None:
        """Call `on_order` for each further order and `on_end` when the parent has gone, in a thread."""

        def run() -> None:
            with contextlib.suppress(UsageError, OSError):  # an invalid message: the parent counts as lost
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
    """The conversation over standard input and output, which nothing else can then read or write.

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


class EventPublisher:
    """Reports the run to the parent: an observer of the session and its progress in one.

    See bench.run.plugins.RunObserver and bench.run.progress.Progress for the methods.
    """

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines

    def step(self, text: str) -> None:
        """Something before or after the run."""
        self._lines.write(messages.Step(visible(text)))

    def look(self, look: ProgressSnapshot) -> None:
        """Nothing: the windows contain more."""

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        """What will run, and when its run zero is."""
        self._lines.write(messages.Started(record, zero.wall_ns))

    def window(self, view: WindowView) -> None:
        """One closed window with what its histograms gained, exact."""
        if not self._lines.is_far_behind:
            self._lines.write(
                messages.WindowMessage(
                    view.start_ns,
                    view.end_ns,
                    view.phase,
                    view.under_way,
                    tuple(messages.SeriesRow(**row) for row in view.series),
                    tuple(messages.HistogramDelta.of(tag, counts) for tag, counts in view.gains),
                )
            )

    def event(self, entry: Event) -> None:
        """An entry of events.jsonl."""
        self._lines.write(messages.EventMessage(entry))

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        self._lines.write(messages.Ended(path.resolve(), interrupted))

    def judged(self, verdict: Verdict) -> None:
        """The verdict, and the exit code that belongs to it."""
        self._lines.write(messages.Judged(verdict, int(exit_code([verdict.status]))))

    def close(self) -> None:
        """Nothing is held."""
