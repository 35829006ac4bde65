"""JSON, one object a line, between an agent and the process that started it.

An object with `do` goes to the agent, one with `say` comes from it. Lines are written by a thread of
their own, so that a parent that reads slowly holds nobody up.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from bench.core.errors import UsageError
from bench.results.files import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

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
