"""Growth: how much more of something is in use at the end of the measured time than after warm-up.

It is the median of the last tenth of the measured time minus that of its first tenth. Where phases
have at least 20 cycles it is the same over cycles, each with its last sample at rest: the first tenth
of the cycles (five at least) is the base, the last tenth (five at least) the end. Medians, because a
single sample may fall into a flush or a rewrite.

Memory is the working set where the source is a control group, else PSS, else RSS, else what a Redis
says that it uses: the first of these of which there are enough samples. The sentence of the check
says which it was. RSS never stands in for the PSS of several processes: what they share would count
once for each, so a Postgres would grow with every backend that touches its buffers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bench.judge.observation import Unmeasurable
from bench.judge.resources.series import LEAST_CYCLES, Series, Times, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

T = TypeVar("T")

LEAST_SAMPLES = 5
SHARE = 0.1
MEMORY = {
    "working_set_bytes": "working set",
    "pss_bytes": "PSS",
    "rss_bytes": "RSS",
    "used_memory_bytes": "used memory, as the server says",
}
"""Columns of memory, the best first, with their names in sentences."""


@dataclass(frozen=True)
class Growth:
    """A base, an end, and out of how many samples."""

    first: float
    last: float
    samples: int

    @property
    def value(self) -> float:
        """How much it grew; negative when it shrank."""
        return self.last - self.first


def by_memory(series: Series, found: Callable[[str], T]) -> tuple[T, str]:
    """`found` of the best memory column with enough samples, and its name. Raises Unmeasurable."""
    refused: Unmeasurable | None = None
    for column, name in MEMORY.items():
        if not len(series.known(column)[0]):
            continue
        if column == "rss_bytes" and refused is not None and _is_family(series):
            raise refused
        try:
            return found(column), name
        except Unmeasurable as reason:
            refused = refused or reason
    raise refused or Unmeasurable(
        f"the memory of {series.source} is not known: it runs under another user, or not on this machine",
        "let the stack start it, or sample it where it runs",
    )


def _is_family(series: Series) -> bool:
    """Whether the source is several processes, as a rule and not for the length of a fork."""
    _, processes = series.known("processes")
    return len(processes) > 0 and float(np.median(processes)) > 1


def growth(series: Series, times: Times, column: str) -> Growth:
    """The growth of one column. Raises Unmeasurable when there are too few samples."""
    at_ns, values = series.known(column)
    if len(times.cycles) >= LEAST_CYCLES:
        rests = _at_rest(at_ns, values, times)
        if len(rests) < LEAST_CYCLES:
            raise _too_few(series.source, f"{LEAST_CYCLES} cycles with a sample at rest", len(rests))
        size = max(LEAST_SAMPLES, round(SHARE * len(rests)))
        return Growth(float(np.median(rests[:size])), float(np.median(rests[-size:])), len(rests))
    offsets, inside = measured_offsets(at_ns, times)
    measured, length = values[inside], times.measured_ns
    first = measured[offsets < SHARE * length]
    last = measured[offsets >= (1 - SHARE) * length]
    if min(len(first), len(last)) < LEAST_SAMPLES:
        wanted = f"{LEAST_SAMPLES} samples in the first and in the last tenth of the measured time"
        raise _too_few(series.source, wanted, min(len(first), len(last)))
    return Growth(float(np.median(first)), float(np.median(last)), len(measured))


def measured_offsets(at_ns: NDArray[np.int64], times: Times) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of the samples in measured phases: ns of measured time before each; and which samples they are."""
    inside = within(at_ns, times.measured)
    starts, ends = np.array(times.measured, dtype=np.int64).reshape(-1, 2).T
    before = np.concatenate([[0], np.cumsum(ends - starts)[:-1]]) if len(starts) else np.zeros(0)
    place = np.searchsorted(starts, at_ns[inside], side="right") - 1
    return at_ns[inside] - starts[place] + before[place], inside


def _at_rest(at_ns: NDArray[np.int64], values: NDArray[np.float64], times: Times) -> NDArray[np.float64]:
    """The last sample in the rest of each cycle; a cycle without one is left out."""
    found = []
    for _, load_end, end in times.cycles:
        place = int(np.searchsorted(at_ns, end)) - 1
        if place >= 0 and at_ns[place] >= load_end:
            found.append(values[place])
    return np.array(found)


def _too_few(source: str, wanted: str, had: int) -> Unmeasurable:
    return Unmeasurable(f"needed {wanted} of {source}, had {had}", "measure longer, or with more cycles")
