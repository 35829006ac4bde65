"""A register's linearizability by trying every order (Wing and Gong 1993): slow and hard to get wrong."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from chaos.integrity.zones import NEVER, History

INITIAL = 0


class Op(NamedTuple):
    """One operation; a write of unknown outcome returns NEVER."""

    invoke: int
    end: int
    value: int
    is_write: bool


def is_linearizable(ops: list[Op]) -> bool:
    """Whether some order of the operations explains every read."""
    known = [op for op in ops if op.is_write or op.end != NEVER]

    @cache
    def can_end(left: int, value: int) -> bool:
        members = [number for number in range(len(known)) if left >> number & 1]
        if all(known[number].end == NEVER for number in members):
            return True  # writes that may never have happened
        first_end = min(known[number].end for number in members)
        for number in members:
            op = known[number]
            if op.invoke > first_end:
                continue  # another was over before this one began
            if op.is_write and can_end(left & ~(1 << number), op.value):
                return True
            if not op.is_write and op.value == value and can_end(left & ~(1 << number), value):
                return True
        return False

    return can_end((1 << len(known)) - 1, INITIAL)


def history_of(ops: list[Op]) -> History:
    """The same in the form that the product takes."""
    return History(
        np.array([op.invoke for op in ops], np.int64),
        np.array([op.end for op in ops], np.int64),
        np.array([op.value for op in ops], np.int64),
        np.array([op.is_write for op in ops], bool),
    )


def random_ops(random: np.random.Generator) -> list[Op]:
    """2 to 9 operations of which about a third of the histories are illegal; ties in time are common."""
    count = int(random.integers(2, 10))
    span = int(random.integers(4, 30))
    starts = random.integers(0, span, count)
    lengths = random.integers(0, 1 + int(random.integers(1, span)), count)
    is_write = random.random(count) < random.uniform(0.2, 0.8)
    is_open = random.random(count) < 0.12
    writes = int(is_write.sum())
    stray = random.random() < 0.1
    ops = []
    written = 0
    for number in range(count):
        if is_write[number]:
            written += 1
            value = written
        else:
            value = _read(random, ops, starts[number], writes, stray)
        end = NEVER if is_open[number] else int(starts[number] + lengths[number])
        ops.append(Op(int(starts[number]), end, value, bool(is_write[number])))
    return ops


def _read(random: np.random.Generator, ops: list[Op], start: int, writes: int, stray: bool) -> int:
    """Mostly the latest value written by then, so that many histories are legal."""
    if random.random() < 0.6:
        before = [op for op in ops if op.is_write and op.invoke <= start]
        if before:
            return max(before, key=lambda op: op.invoke).value
        return INITIAL
    return int(random.integers(0, writes + 1 + stray))
