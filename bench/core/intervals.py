"""The parts of a phase: cycles of load and rest, and windows. Where each begins and ends. Pure.

A phase of `cycles: 50, rest: 30%` is cut into 50 equal cycles; each is load, then 30 % of it without
any arrival. What memory a target does not give back at rest shows from cycle to cycle.
"""

from dataclasses import dataclass

ONE_NS = 1
WINDOWS_PER_PHASE = 60
LONGEST_WINDOW_NS = 1_000_000_000
SHORTEST_WINDOW_NS = 20_000_000


def window_ends(start_ns: int, end_ns: int, *, measured: bool) -> list[int]:
    """Ends of the windows of one phase, the last its own; WINDOWS_PER_PHASE or more where it is measured."""
    size = end_ns - start_ns
    wanted = min(max(size // WINDOWS_PER_PHASE, SHORTEST_WINDOW_NS), LONGEST_WINDOW_NS)
    count = max(1, round(size / wanted))
    if measured and size >= WINDOWS_PER_PHASE * SHORTEST_WINDOW_NS:
        count = max(count, WINDOWS_PER_PHASE)
    return [start_ns + size * number // count for number in range(1, count + 1)]


@dataclass(frozen=True)
class Stretch:
    """A piece of a phase, from the start of its load to the end of its rest; times as the phase's."""

    start_ns: int
    end_ns: int
    is_rest: bool


def stretches(start_ns: int, end_ns: int, cycles: int | None, rest: float | None) -> list[Stretch]:
    """The phase start_ns..end_ns as load and rest in turn; one stretch of load where it has no cycles.

    The stretches follow each other without a gap, and none is empty as long as a cycle has 2 ns.
    """
    if not cycles or not rest:
        return [Stretch(start_ns, end_ns, is_rest=False)]
    size = end_ns - start_ns
    found: list[Stretch] = []
    for number in range(cycles):
        first, last = start_ns + size * number // cycles, start_ns + size * (number + 1) // cycles
        # Both halves of even the shortest cycle exist, whatever the rounding says.
        turn = min(max(first + round((last - first) * (1 - rest)), first + ONE_NS), last - ONE_NS)
        found += [Stretch(first, turn, is_rest=False), Stretch(turn, last, is_rest=True)]
    return found


def load_ns(start_ns: int, end_ns: int, cycles: int | None, rest: float | None) -> int:
    """How much of the phase start_ns..end_ns is load, in ns."""
    pieces = stretches(start_ns, end_ns, cycles, rest)
    return sum(piece.end_ns - piece.start_ns for piece in pieces if not piece.is_rest)
