"""What a Locust process and its agent say to each other: the request for a run, and a window of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bench.core.errors import UsageError
from bench.core.histogram import empty, lower_edge_ns, upper_edge_ns
from bench.results.logs import Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bench.core.histogram import Counts


@dataclass(frozen=True)
class RunRequest:
    """One run: as the arguments of `bench run`, and who makes the load."""

    scenario: Path
    overrides: tuple[str, ...] = ()
    quick: bool = False
    stack: str | None = None
    out: Path = Path("results")
    seed: int | None = None
    workers: tuple[str, ...] = ()
    """Names of the workers whose engine hosts can be relayed to; none: the load is made here."""

    @classmethod
    def read(cls, order: dict[str, Any]) -> Self:
        """The order in `{"do": "run", ...}`. Raises UsageError that names the key."""
        overrides, workers = order.get("overrides", []), order.get("workers", [])
        stack, seed = order.get("stack"), order.get("seed")
        is_seed = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63
        for key, holds, expected in (
            ("scenario", _is_named(order.get("scenario")), "a path"),
            ("out", _is_named(order.get("out", "results")), "a path"),
            ("overrides", _are_texts(overrides), "a list of KEY=VALUE"),
            ("workers", _are_texts(workers) and len(set(workers)) == len(workers), "a list of names"),
            ("stack", stack is None or isinstance(stack, str), "a name or null"),
            ("seed", seed is None or is_seed, "a whole number of 0 to 2^63 - 1, or null"),
        ):
            if not holds:
                found = repr(order.get(key))[:80]
                raise UsageError(f"order run: {key}: expected {expected}, found {found}; correct the order")
        return cls(
            Path(order["scenario"]),
            tuple(overrides),
            bool(order.get("quick")),
            stack,
            Path(order.get("out", "results")),
            seed,
            tuple(workers),
        )


def _is_named(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


RECENT_NS = 2_000_000_000
"""What is shown as "now" is the last two seconds: samples enough for a percentile, and an outage shows."""


@dataclass(frozen=True)
class HistogramDelta:
    """What one histogram gained: buckets (bench.core.histogram) and their counts, of equal length, int64."""

    tag: Tag
    buckets: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many samples."""
        return int(self.counts.sum())

    @property
    def edges_ns(self) -> tuple[list[int], list[int]]:
        """Lowest and highest value of each bucket."""
        return [lower_edge_ns(int(b)) for b in self.buckets], [upper_edge_ns(int(b)) for b in self.buckets]


@dataclass(frozen=True)
class WindowMessage:
    """One window; times in ns from run zero."""

    start_ns: int
    end_ns: int
    phase: str
    under_way: str
    series: tuple[Mapping[str, Any], ...]
    gains: tuple[HistogramDelta, ...]

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> WindowMessage:
        """The window in an agent's message."""
        gains = (
            HistogramDelta(
                Tag.parse(tag), np.array(buckets, dtype=np.int64), np.array(counts, dtype=np.int64)
            )
            for tag, buckets, counts in message["gains"]
        )
        return cls(
            message["start_ns"],
            message["end_ns"],
            message["phase"],
            message["under_way"],
            tuple(message["series"]),
            tuple(gain for gain in gains if gain.buckets.size),
        )


class RollingWindow:
    """The gains of one histogram in the windows of the last seconds."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, list[HistogramDelta]]] = deque()

    def add(self, start_ns: int, end_ns: int, gains: list[HistogramDelta]) -> None:
        """Add a window, also an empty one: time in which nothing ended is time too."""
        self._kept.append((start_ns, end_ns, gains))
        while len(self._kept) > 1 and self._kept[1][0] <= end_ns - RECENT_NS:
            self._kept.popleft()

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    @property
    def seconds(self) -> float:
        """How long the windows last that are kept."""
        return (self._kept[-1][1] - self._kept[0][0]) / 1e9 if self._kept else 0.0

    def total(self, *, failed: bool | None = None) -> int:
        """Samples; only those with (or without) an outcome other than OK where `failed` says so."""
        return sum(
            gain.total
            for _, _, gains in self._kept
            for gain in gains
            if failed is None or failed == (gain.tag.outcome != "ok")
        )

    def counts(self) -> Counts:
        """All of them in one histogram."""
        merged = empty()
        for _, _, gains in self._kept:
            for gain in gains:
                merged[gain.buckets] += gain.counts
        return merged
