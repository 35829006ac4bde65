"""The arithmetic of rounds: who runs when, and what several rounds say together. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.peers.contestant import Result

OURS = "ours"
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Round:
    """One turn of each contestant, in this order; one that failed has no result."""

    number: int
    order: tuple[str, ...]
    results: dict[str, Result] = field(default_factory=dict)
    others_cores: float = 0.0
    """Cores that other programs kept busy just before the round."""


@dataclass(frozen=True)
class Summary:
    """A contestant over all its rounds: medians, unless the name says otherwise."""

    name: str
    rounds: int
    throughput_per_s: float
    lowest_per_s: float
    highest_per_s: float
    mean_ns: float
    p50_ns: float | None
    p99_ns: float | None
    little: float | None
    little_farthest: float | None
    """The round farthest from 1."""
    cores: float
    """Cores that it used."""
    ratio: float | None
    """Our throughput to its; None where no round has both."""
    requests: int
    """Of all rounds."""
    counted: int | None
    """By the server, of all rounds; None where one of them was not counted, as `miscounted`."""
    miscounted: int | None
    """By how many requests it and the server were apart, summed over the rounds without signs."""


def order_of(names: Sequence[str], number: int, seed: int) -> tuple[str, ...]:
    """Order of round `number` (from 0): drawn once from the seed, then rotated by one each round."""
    drawn = sorted(names)
    random.Random(seed).shuffle(drawn)
    turn = number % len(drawn) if drawn else 0
    return tuple(drawn[turn:] + drawn[:turn])


def ratios(rounds: Sequence[Round], name: str, ours: str = OURS) -> list[float]:
    """Our throughput to that of `name`, one for each round that has both."""
    return [
        one.results[ours].throughput_per_s / one.results[name].throughput_per_s
        for one in rounds
        if ours in one.results and name in one.results
    ]


def summary_of(rounds: Sequence[Round], name: str, connections: int) -> Summary | None:
    """What the rounds say of one contestant; None where it has no result."""
    results = [one.results[name] for one in rounds if name in one.results]
    if not results:
        return None
    throughputs = [result.throughput_per_s for result in results]
    littles = _known(result.little(connections) for result in results)
    counts = _known(result.counted for result in results)
    all_counted = len(counts) == len(results)
    pairs = ratios(rounds, name)
    return Summary(
        name=name,
        rounds=len(results),
        throughput_per_s=median(throughputs),
        lowest_per_s=min(throughputs),
        highest_per_s=max(throughputs),
        mean_ns=median(result.mean_ns for result in results),
        p50_ns=_median(_known(result.p50_ns for result in results)),
        p99_ns=_median(_known(result.p99_ns for result in results)),
        little=_median(littles),
        little_farthest=max(littles, key=lambda value: abs(value - 1), default=None),
        cores=median(result.cpu_s / result.seconds for result in results),
        ratio=_median(pairs),
        requests=sum(result.requests for result in results),
        counted=sum(counts) if all_counted else None,
        miscounted=(
            sum(abs(count - result.requests) for count, result in zip(counts, results, strict=True))
            if all_counted
            else None
        ),
    )


def _known(values: Iterable[_Number | None]) -> list[_Number]:
    return [value for value in values if value is not None]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
