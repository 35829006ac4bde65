"""The Board: what the engine threads have counted, and intervals of it.

Each engine thread writes the rows of its own tables. A reader copies; counters only grow during a
run, so an interval is a subtraction and no lock or reset is needed. Histograms that did not change
since the last copy are not copied again: `tallies` tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.answers import ANSWER_COLUMNS, Answers
from bench.core.histogram import BUCKET_COUNT, percentile_ns
from bench.core.outcome import OUTCOME_COUNT, Outcome
from bench.engine.wire.layout import KIND_COUNT, LAG

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.core.histogram import Counts

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
    def empty(cls, rows: int, kind_names: tuple[str, ...]) -> Board:
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
