"""The Board: what the engine threads have counted, and intervals of it; the operation log beside it.

Each engine thread writes the rows of its own tables. A reader copies; counters only grow during a run,
so an interval is a subtraction and no lock or reset is needed. Histograms that did not change since
the last copy are not copied again: `tallies` tell. A Board may lie in memory that two processes share.
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import ANSWER_COLUMNS, Answers
from bench.core.histogram import BUCKET_COUNT, Counts, percentile_ns
from bench.core.machine_limits import RAW_LOG_PREFIX, free_bytes, reserve
from bench.core.outcome import OUTCOME_COUNT, Outcome
from bench.engine.wire import layout
from bench.engine.wire.layout import GAUGE_COLUMNS, KIND_COUNT, KIND_NAMES, LAG
from bench.plan.plan import Plan, WorkloadPlan

TOUCHED_BYTES = 200_000_000
"""A Board of very many phases and operations is left to grow as it is used."""


@dataclass
class Board:
    """What one engine thread counts for one workload; row = phase * operations + operation."""

    rows: int
    kind_names: tuple[str, ...]
    counts: NDArray[np.int64]
    """counts[row, kind, outcome, bucket]; mostly untouched pages."""
    tallies: NDArray[np.int64]
    """tallies[row, outcome]: arrivals that ended so."""
    taken: NDArray[np.int64]
    """taken[row]: arrivals taken from the plan."""
    answers: NDArray[np.int64]
    """answers[row, column] (bench.core.answers): what answers brought; mostly untouched pages."""

    @classmethod
    def empty(cls, rows: int, kind_names: tuple[str, ...]) -> Self:
        """All zero. The kinds are the first KIND_COUNT of the layout, then an engine's own."""
        assert len(kind_names) >= KIND_COUNT
        board = cls(
            rows,
            kind_names,
            np.zeros((rows, len(kind_names), OUTCOME_COUNT, BUCKET_COUNT), dtype=np.int64),
            np.zeros((rows, OUTCOME_COUNT), dtype=np.int64),
            np.zeros(rows, dtype=np.int64),
            np.zeros((rows, ANSWER_COLUMNS), dtype=np.int64),
        )
        # Have the kernel give us the memory of the usual outcome now: it comes in pages of 2 MB, and
        # clearing them held up the first arrivals of each phase by tens of milliseconds.
        usual = board.counts[:, :, Outcome.OK]
        if usual.nbytes <= TOUCHED_BYTES:
            usual[:] = 0
        return board


@dataclass(frozen=True)
class Change:
    """Samples that one histogram gained since the last look."""

    row: int
    kind: str
    outcome: Outcome
    counts: Counts


class BoardReader:
    """Intervals over the Boards of one workload, its threads added up."""

    def __init__(self, boards: list[Board]) -> None:
        self._boards = boards
        self._previous: dict[tuple[int, int, int], Counts] = {}
        self._previous_tallies = np.zeros_like(boards[0].tallies)

    def changes(self) -> Iterator[Change]:
        """What every histogram gained since the last call.

        A row and outcome whose tallies stand still has gained nothing, so most pages are never read.
        """
        tallies = sum_of([board.tallies for board in self._boards])
        changed = tallies != self._previous_tallies
        self._previous_tallies = tallies
        for row, outcome in zip(*np.nonzero(changed), strict=True):
            for kind, name in enumerate(self._boards[0].kind_names):
                now = sum_of([board.counts[row, kind, outcome] for board in self._boards])
                before = self._previous.get((row, kind, outcome))
                gained = now if before is None else now - before
                if gained.any():
                    self._previous[row, kind, outcome] = now
                    yield Change(int(row), name, Outcome(int(outcome)), gained)


class AnswerReader:
    """What answers brought so far, over the Boards of one workload, its threads added up.

    Counting and reading go by rows: one whose tallies stand still is not read again.
    """

    def __init__(self, boards: list[Board]) -> None:
        self._boards = boards
        self._seen = np.zeros_like(boards[0].tallies)
        self._by_row: dict[int, Answers] = {}

    def answers(self) -> dict[int, Answers]:
        """For each row with answers what they were; of arrivals under way perhaps not yet."""
        tallies = sum_of([board.tallies for board in self._boards])
        for row in np.nonzero((tallies != self._seen).any(axis=1))[0]:
            if found := Answers.of_row(sum_of([board.answers[row] for board in self._boards])):
                self._by_row[int(row)] = found
        self._seen = tallies
        return self._by_row


def lag_medians_ns(boards: list[Board], phases: int) -> list[int | None]:
    """Median of planned to sent in each phase, over all operations and outcomes; None without a send."""
    medians: list[int | None] = []
    for part in range(phases):
        operations = boards[0].rows // phases
        rows = slice(part * operations, (part + 1) * operations)
        lag = sum_of([board.counts[rows, LAG].sum(axis=(0, 1)) for board in boards])
        medians.append(percentile_ns(lag, 50) if lag.any() else None)
    return medians


def sum_of(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """A copy of the sum of equally shaped arrays."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


WORD_BYTES = 8


@dataclass(frozen=True)
class SharedBoard:
    """The Board of one workload and the gauges beside it, as one process sees them."""

    fd: int
    board: Board
    gauges: NDArray[np.int64]
    """gauges[column] as in bench.engine.wire.layout."""

    @classmethod
    def create(cls, rows: int) -> Self:
        """New memory, all zero, behind a descriptor that the caller owns."""
        fd = os.memfd_create("holdfast-board", os.MFD_CLOEXEC)
        os.ftruncate(fd, _words(rows) * WORD_BYTES)
        return cls.open(fd, rows)

    @classmethod
    def open(cls, fd: int, rows: int) -> Self:
        """The memory behind a descriptor that was inherited, for as many rows as it was made."""
        # The memory lives as long as any view of it, whatever becomes of the descriptor.
        words = np.frombuffer(mmap.mmap(fd, _words(rows) * WORD_BYTES), dtype=np.int64)
        tallies, gauges, taken, answers, counts = np.split(words, np.cumsum(_sizes(rows))[:-1])
        board = Board(
            rows,
            KIND_NAMES,
            counts.reshape(rows, KIND_COUNT, OUTCOME_COUNT, BUCKET_COUNT),
            tallies.reshape(rows, OUTCOME_COUNT),
            taken,
            answers.reshape(rows, ANSWER_COLUMNS),
        )
        return cls(fd, board, gauges)


def _sizes(rows: int) -> list[int]:
    """Words of tallies, gauges, taken, answers and counts, in the order in which they lie."""
    counts = rows * KIND_COUNT * OUTCOME_COUNT * BUCKET_COUNT
    return [rows * OUTCOME_COUNT, GAUGE_COLUMNS, rows, rows * ANSWER_COLUMNS, counts]


def _words(rows: int) -> int:
    return sum(_sizes(rows))


CLOSED_LOG_RECORDS = 20_000_000
"""A closed loop plans no number of arrivals. The file is sparse: room that is not used takes no space."""

CLOSED_LOG_SHARE = 0.25
"""Of what is free on the disk, the most that the logs of a closed loop may come to be."""


def open_log(
    plan: Plan, workload: WorkloadPlan, number: int, threads: int, folder: Path
) -> tuple[Path, np.memmap[Any, Any]]:
    """Path and records (int64 words, layout.LOG_WORDS to a record) for log `number` of `threads`
    equally large ones.

    Raises ResultError where the disk has no room for the arrivals that are planned.
    """
    share = workload.expected_arrivals / threads / plan.segment.count
    # Poisson: six deviations above the expectation is room for every run that will ever be made.
    records = int(share + 6 * share**0.5 + 1000)
    path = folder / f"{RAW_LOG_PREFIX}{workload.name}-{number}"
    if workload.is_closed:
        room = int(CLOSED_LOG_SHARE * free_bytes(folder) / threads / layout.LOG_RECORD.itemsize)
        records = max(min(CLOSED_LOG_RECORDS, room), 1)
    else:
        # Twice: at the end the logs are copied into one file, and then is late to find no room for it.
        reserve(path, 2 * records * layout.LOG_RECORD.itemsize)
        os.truncate(path, records * layout.LOG_RECORD.itemsize)
    mode: Literal["w+", "r+"] = "w+" if workload.is_closed else "r+"
    return path, np.memmap(path, dtype=np.int64, mode=mode, shape=(records, layout.LOG_WORDS))


@dataclass(frozen=True)
class Reconnection:
    """One lane that lost its connection and got another; ns on CLOCK_MONOTONIC."""

    thread: int
    lane: int
    lost_ns: int
    back_ns: int
    attempts: int
