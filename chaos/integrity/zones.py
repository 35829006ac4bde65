"""Linearizability of one register into which every value is written at most once, by the zone test.

Gibbons and Korach, Testing Shared Memories, SIAM Journal on Computing 26(4), 1997, section 4 (the read
mapping is known). The operations on one value are its cluster: the write and the reads that returned it.
Let f be the earliest return in a cluster and s its latest invocation. Some operation of cluster a is
over before some operation of cluster b begins exactly when f_a < s_b, and then a's write comes first.
Two clusters that force that on each other, f_a < s_b and f_b < s_a, have no order; without such a pair
there is one. A cluster with f < s has a forward zone [f, s], one with s <= f a backward zone [s, f]: so
the forced pairs are overlapping forward zones, and backward zones inside forward ones. O(n log n).

Intervals are closed: two operations of which one returns in the instant in which the other is invoked
are concurrent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench.results.fault_records import ExampleRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Truth = NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""The return of an operation whose end is not known."""
BEFORE_ALL = np.iinfo(np.int64).min
"""When the initial value was written."""


@dataclass(frozen=True)
class History:
    """Operations on one register, one item each, in any order; times in ns on one clock.

    A write of unknown outcome returns NEVER; a read of unknown outcome says nothing and is left out.
    """

    invoke_ns: Whole
    return_ns: Whole
    value: Whole
    """What was written, or what the read returned."""
    is_write: Truth


@dataclass(frozen=True)
class Judgement:
    """What the test found. `count` is 0 exactly when the history is linearizable."""

    count: int = 0
    """Reads of values that were not there to be read, and values whose times contradict another's."""
    examples: list[ExampleRecord] = field(default_factory=list)


def judge(history: History, initial: int | None = None, most_examples: int = 5) -> Judgement:
    """Test one register. `initial` is what it held before every operation; None: nothing may read it.

    Raises ValueError where a value is written twice: the test does not cover that.
    """
    known = with_initial(history, initial)
    known = _without(known, ~known.is_write & (known.return_ns == NEVER))
    written = known.value[known.is_write]
    values, places = np.unique(written, return_index=True)
    if len(values) != len(written):
        raise ValueError("every value must be written at most once")
    if not len(known.value):
        return Judgement()
    cluster = np.searchsorted(values, known.value)
    cluster[cluster == len(values)] = 0
    is_orphan = np.ones(len(cluster), bool) if not len(values) else values[cluster] != known.value
    orphans = np.flatnonzero(is_orphan)
    invoked = known.invoke_ns[known.is_write][places]
    early = np.flatnonzero(~is_orphan & ~known.is_write)
    early = early[known.return_ns[early] < invoked[cluster[early]]]
    examples = [
        _read_example("a value that was never written was read", known, at) for at in orphans[:most_examples]
    ]
    examples += [
        _read_example("a value was read before it was written", known, at) for at in early[:most_examples]
    ]
    pairs, count = _contradictions(*_zones(known, cluster, ~is_orphan, len(values)), most_examples)
    examples += [
        ExampleRecord(
            what="each of two values was there before the other", values=[int(values[a]), int(values[b])]
        )
        for a, b in pairs
    ]
    return Judgement(len(orphans) + len(early) + count, examples[:most_examples])


def with_initial(history: History, initial: int | None) -> History:
    """The history with a write of the initial value before everything else."""
    if initial is None:
        return history
    return History(
        np.append(history.invoke_ns, BEFORE_ALL),
        np.append(history.return_ns, BEFORE_ALL),
        np.append(history.value, initial),
        np.append(history.is_write, True),
    )


def _without(history: History, out: Truth) -> History:
    kept = ~out
    return History(
        history.invoke_ns[kept], history.return_ns[kept], history.value[kept], history.is_write[kept]
    )


def _zones(history: History, cluster: Whole, belongs: Truth, count: int) -> tuple[Whole, Whole]:
    """First return and last invocation of each cluster.

    A write of unknown outcome that was never read returns NEVER: nothing can come after it, so it forces
    no order. It may never have happened.
    """
    first_return = np.full(count, NEVER)
    last_invoke = np.full(count, BEFORE_ALL)
    np.minimum.at(first_return, cluster[belongs], history.return_ns[belongs])
    np.maximum.at(last_invoke, cluster[belongs], history.invoke_ns[belongs])
    return first_return, last_invoke


def _contradictions(first_return: Whole, last_invoke: Whole, most: int) -> tuple[list[tuple[int, int]], int]:
    """Pairs of clusters that force an order on each other, up to `most`; how many clusters are in such.

    Of the forward zones that begin before a point only the one that reaches furthest need be looked at.
    """
    is_forward = first_return < last_invoke
    forward = np.flatnonzero(is_forward)
    forward = forward[np.argsort(first_return[forward], kind="stable")]
    if not len(forward):
        return [], 0
    begins, ends = first_return[forward], last_invoke[forward]
    reach = np.maximum.accumulate(ends)
    # The zone that reaches furthest among the first k + 1.
    furthest = np.maximum.accumulate(np.where(ends == reach, np.arange(len(ends)), 0))
    overlapped = np.flatnonzero(begins[1:] < reach[:-1]) + 1
    pairs = [(int(forward[furthest[at - 1]]), int(forward[at])) for at in overlapped[:most]]
    backward = np.flatnonzero(~is_forward)
    before = np.searchsorted(begins, last_invoke[backward], side="left")  # forward zones begun by then
    some = np.flatnonzero(before)
    inside = some[first_return[backward[some]] < reach[before[some] - 1]]
    pairs += [(int(forward[furthest[before[at] - 1]]), int(backward[at])) for at in inside[:most]]
    return pairs[:most], len(overlapped) + len(inside)


def _read_example(what: str, history: History, at: int) -> ExampleRecord:
    return ExampleRecord(
        what=what,
        value=int(history.value[at]),
        invoke_ns=int(history.invoke_ns[at]),
        return_ns=int(history.return_ns[at]),
    )
