"""What the client engine records: ended arrivals in batches, entered into the Board by compiled code.

A single assignment to a numpy element costs Python more than all of this per arrival. The rules of
what is charged are the wire engine's: the same functions enter a sent and an unsent arrival.
"""

from array import array
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import PLAIN, compiled
from bench.core.outcome import Outcome
from bench.engine.board import Board
from bench.engine.client.pool import NEVER, Leg
from bench.engine.client.timing import LoopLag, unread_ns
from bench.engine.wire import layout
from bench.engine.wire.layout import (
    DEADLINE_NS,
    IDEAL,
    KIND_COUNT,
    KIND_NAMES,
    OPERATION_COUNT,
    PLANNED,
    RECORDED_COLUMNS,
    ROW,
    SENT,
    SERVICE,
    SERVICE_NET,
    STEP_END,
    STEP_FIRST,
    UNREAD,
)
from bench.engine.wire.recording import add_pair, add_value, record_end, record_unsent
from bench.plan.plan import WorkloadPlan

# batch[n, column]: the columns of a flight (layout; IDEAL and UNREAD are found out here), then these.
# WAIT: for a connection of the pool, -1 where none was asked for. HELD: how long the generator held it back
# before that, -1 where it never began.
OUTCOME, DONE, WAIT, LANE, HELD = range(RECORDED_COLUMNS, RECORDED_COLUMNS + 5)
BATCH_COLUMNS = RECORDED_COLUMNS + 5
# connections[number, column]: when it became free, and when it would have (bench.engine.wire.lateness).
FREE, IDEAL_FREE = range(2)
CONNECTIONS = 4096
"""Those with higher numbers, of a pool that replaced as many, share the rows of others."""
STEP_COLUMNS = 4
POOL_WAIT = np.int64(KIND_COUNT)
CLIENT_KINDS = (*KIND_NAMES, "pool_wait")
NO_QUEUE = np.zeros((1, layout.QUEUE_COLUMNS), dtype=np.int64)
"""A client has one thread, which shares nothing."""


class BoardWriter(NamedTuple):
    """Those of layout.Tables that recording touches, under the same names."""

    settings: NDArray[np.int64]
    counts: NDArray[np.int64]
    tallies: NDArray[np.int64]
    gauges: NDArray[np.int64]
    log: NDArray[np.int64]
    connections: NDArray[np.int64]
    operations: NDArray[np.int64]
    queue: NDArray[np.int64] = NO_QUEUE


@compiled
def note_own_lateness(accounts: BoardWriter, entry: NDArray[np.int64], stretches: NDArray[np.int64]) -> None:
    """What the generator owes a sent arrival: held back, waiting for a connection that it kept for too long,
    answered and not read.
    """
    sent, done = entry[SENT], entry[DONE]
    asked = entry[PLANNED] + max(entry[HELD], 0)
    connection = accounts.connections[max(entry[LANE], 0) % CONNECTIONS]
    owed = connection[FREE] - connection[IDEAL_FREE]
    inherited = max(0, min(owed, min(connection[FREE], sent) - asked))
    operation = accounts.operations[entry[ROW] % accounts.settings[OPERATION_COUNT]]
    several = operation[STEP_END] - operation[STEP_FIRST] > 1
    entry[IDEAL] = entry[SENT] - (asked - entry[PLANNED]) - inherited
    entry[UNREAD] = unread_ns(stretches, sent, done, several)
    if entry[LANE] >= 0:
        connection[FREE] = done
        connection[IDEAL_FREE] = done - (sent - entry[IDEAL]) - entry[UNREAD]


@compiled
def held_unsent(accounts: BoardWriter, entry: NDArray[np.int64]) -> int:
    """What the generator owes an arrival that was never sent: all its waiting, where it was held back until
    its deadline; where a pool had nothing for it, what it was told too late.
    """
    held = max(entry[HELD], 0)
    if entry[WAIT] < 0:
        return int(held)
    return int(min(held, max(entry[DONE] - entry[PLANNED] - accounts.settings[DEADLINE_NS], 0)))


@compiled
def enter(accounts: BoardWriter, batch: NDArray[np.int64], stretches: NDArray[np.int64]) -> None:
    """Enter every ended arrival of a batch; `stretches`: in which the loop was late (LoopLag)."""
    for number in range(batch.shape[0]):
        entry = batch[number]
        outcome = entry[OUTCOME]
        if entry[SENT] >= 0:
            note_own_lateness(accounts, entry, stretches)
            record_end(accounts, entry, outcome, entry[DONE], entry[LANE])  # type: ignore[arg-type]  # duck-typed
        else:
            held = held_unsent(accounts, entry)
            record_unsent(accounts, entry, outcome, entry[DONE], held)  # type: ignore[arg-type]  # duck-typed
        if entry[WAIT] >= 0:
            add_value(accounts, entry[ROW], POOL_WAIT, outcome, entry[WAIT])  # type: ignore[arg-type]  # duck-typed


@compiled
def enter_steps(accounts: BoardWriter, steps: NDArray[np.int64], stretches: NDArray[np.int64]) -> None:
    """Enter requests that are counted by themselves: row, outcome, sent and done."""
    for number in range(steps.shape[0]):
        row, outcome, sent, done = steps[number]
        unread = unread_ns(stretches, sent, done, False)
        service = done - sent
        add_pair(accounts, row, SERVICE, SERVICE_NET, outcome, service, service - unread)  # type: ignore[arg-type]  # duck-typed
        accounts.tallies[row, outcome] += 1


def connections_table() -> NDArray[np.int64]:
    """Of Accounts: no connection has been used."""
    return np.zeros((CONNECTIONS, 2), dtype=np.int64)


class ResultBatch:
    """The Board, the operation log and the batch on its way into them. Written by the loop's thread only."""

    def __init__(self, plan: WorkloadPlan, log: NDArray[np.int64] | None) -> None:
        self.board = Board.empty(plan.phase_count * len(plan.program.names), CLIENT_KINDS)
        settings = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
        settings[layout.DEADLINE_NS] = plan.workload.deadline_ns
        settings[layout.OPERATION_COUNT] = len(plan.program.names)
        settings[layout.LOGGING] = log is not None
        self.gauges = np.zeros(layout.GAUGE_COLUMNS, dtype=np.int64)
        self._accounts = BoardWriter(
            settings,
            self.board.counts,
            self.board.tallies,
            self.gauges,
            log if log is not None else np.zeros((0, layout.LOG_WORDS), dtype=np.int64),
            connections_table(),
            plan.program.operations,
        )
        self.lag = LoopLag()
        self.batch = array("q")
        """Ended arrivals not yet entered: BATCH_COLUMNS numbers each, appended by whoever ends one."""
        self._steps = array("q")
        self._has_steps = bool((plan.program.steps[:, layout.T_NAME] >= 0).any())
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

    def step(self, row: int, leg: Leg, outcome: Outcome, now_ns: int) -> None:
        """Count a request that is counted by itself, if it was sent."""
        if leg.sent_ns != NEVER:
            self._steps.extend((row, outcome, leg.sent_ns, leg.done_ns if leg.done_ns != NEVER else now_ns))
        if leg.status:
            self.answer(row, (leg.status,))

    def flush(self) -> None:
        """Enter what was noted. Taken goes first: a reader in between sees no more ends than arrivals."""
        batch, self.batch = self.batch, array("q")
        self.board.taken[:] = self._taken
        for place, count in self._answers.items():
            self.board.answers[place] += count
        self._answers.clear()
        self.gauges[layout.TAKEN] = sum(self._taken)
        rows = np.array(batch, dtype=np.int64).reshape(-1, BATCH_COLUMNS)
        steps, self._steps = np.array(self._steps, dtype=np.int64).reshape(-1, STEP_COLUMNS), array("q")
        with np.errstate(over="ignore") if PLAIN else nullcontext():
            enter(self._accounts, rows, self.lag.stretches())
            if self._has_steps:
                enter_steps(self._accounts, steps, self.lag.stretches())
