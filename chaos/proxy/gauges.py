"""What the proxy counts of itself, in memory that the harness reads at any time and without asking.

Two writers with a row and a histogram each: the compiled relay, and the Python loop that does all else.
Lateness is the time from when bytes were there (by the kernel's stamp), or were due under a toxic, to
when they were sent on: what a toxic does on purpose is no part of it.
"""

from __future__ import annotations

import mmap

TURNS, READS, SLEPT_NS, MOST_READY, THREAD = range(5)
"""Turns of the loop; reads passed on, or pieces and ends; time in which there was nothing to do; the most
descriptors that were ready at once; the kernel's number of the thread (0: not there)."""
ROW = 8
RELAY, LOOP = range(2)
ROWS = 2

_HALF_BITS, _FINE_BITS = 10, 11
HIGHEST_NS = 3_600_000_000_000
BUCKETS = 33 * 1024
"""As bench.core.histogram has them: that one needs numpy, which the Python loop does without."""
WORDS = ROWS * (ROW + BUCKETS)
SIZE_BYTES = 8 * WORDS


def bucket_of(value_ns: int) -> int:
    """The bucket of a time within 0..HIGHEST_NS: bench.core.histogram's, for one value at a time."""
    power = max(value_ns.bit_length() - _FINE_BITS, 0)
    return (power << _HALF_BITS) + (value_ns >> power)


class Gauges:
    """The Python loop's side, and the memory as a whole."""

    def __init__(self, descriptor: int) -> None:
        """descriptor: of a file of SIZE_BYTES."""
        self._map = mmap.mmap(descriptor, SIZE_BYTES)
        self.words = memoryview(self._map).cast("q")
        self._base = LOOP * ROW
        self._lateness = ROWS * ROW + LOOP * BUCKETS

    def turned(self, slept_ns: int, ready: int) -> None:
        """A turn of the loop has ended."""
        words, base = self.words, self._base
        words[base + TURNS] += 1
        words[base + SLEPT_NS] += slept_ns
        words[base + MOST_READY] = max(words[base + MOST_READY], ready)

    def late(self, by_ns: int) -> None:
        """Something was passed on so long after it was there, or was due."""
        self.words[self._base + READS] += 1
        self.words[self._lateness + bucket_of(min(max(by_ns, 0), HIGHEST_NS))] += 1

    def is_here(self, row: int, thread: int) -> None:
        """The thread that writes a row."""
        self.words[row * ROW + THREAD] = thread
