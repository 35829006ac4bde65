"""A Board in memory that two processes share: one counts, the other reads.

The memory belongs to an anonymous file (memfd): it has no name that could be left behind, and its pages
exist from when they are first written. The rules are those of any Board: one writer, counters only grow,
aligned 64-bit stores.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.answers import ANSWER_COLUMNS
from bench.core.histogram import BUCKET_COUNT
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.board import Board
from bench.engine.wire.layout import GAUGE_COLUMNS, KIND_COUNT, KIND_NAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD_BYTES = 8


@dataclass(frozen=True)
class SharedBoard:
    """The Board of one workload and the gauges beside it, as one process sees them."""

    fd: int
    board: Board
    gauges: NDArray[np.int64]
    """gauges[column] as in bench.engine.wire.layout."""

    @classmethod
    def create(cls, rows: int) -> SharedBoard:
        """New memory, all zero, behind a descriptor that the caller owns."""
        fd = os.memfd_create("holdfast-board", os.MFD_CLOEXEC)
        os.ftruncate(fd, _words(rows) * WORD_BYTES)
        return cls.open(fd, rows)

    @classmethod
    def open(cls, fd: int, rows: int) -> SharedBoard:
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
