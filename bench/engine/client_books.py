"""What the client engine records: ended arrivals in batches, entered into the Board by compiled code.

A single assignment to a numpy element costs Python more than all of this per arrival. The rules of
what is charged are the wire engine's: the same functions enter a sent and an unsent arrival.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.engine import layout
from bench.engine.board import Board
from bench.engine.layout import FLIGHT_COLUMNS, KIND_COUNT, KIND_NAMES, LATE, LATENESS, ROW, SENT
from bench.engine.recording import add_value, record_end, record_unsent
from bench.jit import PLAIN, compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import WorkloadPlan

# batch[n, column]: the columns of a flight (layout), then these.
OUTCOME, DONE, WAIT, LANE = range(FLIGHT_COLUMNS, FLIGHT_COLUMNS + 4)
BATCH_COLUMNS = FLIGHT_COLUMNS + 4
POOL_WAIT = np.int64(KIND_COUNT)
CLIENT_KINDS = (*KIND_NAMES, "pool_wait")
NO_QUEUE = np.zeros((1, layout.QUEUE_COLUMNS), dtype=np.int64)
"""A client has one thread, which shares nothing."""


class Accounts(NamedTuple):
    """Those of layout.Tables that recording touches, under the same names."""

    settings: NDArray[np.int64]
    counts: NDArray[np.int64]
    tallies: NDArray[np.int64]
    gauges: NDArray[np.int64]
    log: NDArray[np.int64]
    queue: NDArray[np.int64] = NO_QUEUE


@compiled
def enter(accounts: Accounts, batch: NDArray[np.int64]) -> None:
    """Enter every ended arrival of a batch.

    One that was never sent has a wait and, if its task had begun, a lateness too: -1 where it has not.
    """
    for number in range(batch.shape[0]):
        entry = batch[number]
        outcome = entry[OUTCOME]
        if entry[SENT] >= 0:
            record_end(accounts, entry, outcome, entry[DONE], entry[LANE])  # type: ignore[arg-type]  # duck-typed
        else:
            record_unsent(accounts, entry, outcome, entry[DONE])  # type: ignore[arg-type]  # duck-typed
            if entry[LATE] >= 0:
                add_value(accounts, entry[ROW], LATENESS, outcome, entry[LATE])  # type: ignore[arg-type]  # duck-typed
        if entry[WAIT] >= 0:
            add_value(accounts, entry[ROW], POOL_WAIT, outcome, entry[WAIT])  # type: ignore[arg-type]  # duck-typed


class Books:
    """The Board, the operation log and the batch on its way into them. Written by the loop's thread only."""

    def __init__(self, plan: WorkloadPlan, log: NDArray[np.int64] | None) -> None:
        self.board = Board.empty(plan.phase_count * len(plan.program.names), CLIENT_KINDS)
        settings = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
        settings[layout.DEADLINE_NS] = plan.workload.deadline_ns
        settings[layout.OPERATION_COUNT] = len(plan.program.names)
        settings[layout.LOGGING] = log is not None
        self.gauges = np.zeros(layout.GAUGE_COLUMNS, dtype=np.int64)
        self._accounts = Accounts(
            settings,
            self.board.counts,
            self.board.tallies,
            self.gauges,
            log if log is not None else np.zeros((0, layout.LOG_WORDS), dtype=np.int64),
        )
        self.batch = array("q")
        """Ended arrivals not yet entered: BATCH_COLUMNS numbers each, appended by whoever ends one."""
        self._taken = [0] * self.board.rows
        self._answers: dict[tuple[int, int], int] = {}
        self.flush()  # compiles

    def take(self, row: int) -> None:
        """Count an arrival that was taken from the plan."""
        self._taken[row] += 1

    def answer(self, row: int, columns: tuple[int, ...]) -> None:
        """Count what the answers to an arrival brought."""
        for column in columns:
            place = (row, column)
            self._answers[place] = self._answers.get(place, 0) + 1

    def flush(self) -> None:
        """Enter what was noted. Taken goes first: a reader in between sees no more ends than arrivals."""
        batch, self.batch = self.batch, array("q")
        self.board.taken[:] = self._taken
        for place, count in self._answers.items():
            self.board.answers[place] += count
        self._answers.clear()
        self.gauges[layout.TAKEN] = sum(self._taken)
        rows = np.array(batch, dtype=np.int64).reshape(-1, BATCH_COLUMNS)
        if PLAIN:
            with np.errstate(over="ignore"):
                enter(self._accounts, rows)
        else:
            enter(self._accounts, rows)
