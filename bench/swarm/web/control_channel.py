"""The process that started an agent: its orders come on our standard input, and its end is ours."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from bench.core.errors import ExitCode, UsageError
from bench.swarm.json_lines import LineWriter, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
