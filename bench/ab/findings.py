"""What pairs of runs say about each figure: the ratio, its interval, and whether it is a regression. Pure.

A REGRESSION is a difference that the sign-flip test calls one (5 % over all figures together) and that
is larger than the threshold, than what two equal variants have shown on this machine (the A/A floor),
and than what the runs can resolve. NO DIFFERENCE needs both one-sided 95 % tests against that same
least difference (Schuirmann's TOST): an interval of 90 % that lies within it. All else is CANNOT TELL,
with the smallest change that could be told.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.compare.difference import Estimate, Finding, Kind, Reading, Unknown, median
from bench.core.errors import ExitCode
from bench.statistics.pairs import (
    LEAST_PAIRS,
    LEVEL,
    SignFlips,
    hodges_lehmann,
    interval,
    sign_flips,
    smallest_told,
)

Figures = Mapping[str, tuple[Kind, Reading]]
"""Of one run, by metric."""

FEWEST_KNOWN = 0.5
"""Of the pairs: a figure that fewer have is not compared."""


@dataclass(frozen=True)
class PairedFigure:
    """One figure of both variants; None where it is not known."""

    metric: str
    unit: str
    finding: Finding
    a: float | None = None
    b: float | None = None
    """The median of its runs, in the unit."""
    ratio: float | None = None
    """b / a."""
    low: float | None = None
    high: float | None = None
    p: float | None = None
    """That any of the figures differs so clearly by chance."""
    smallest_told: float | None = None
    """The smallest change that would be found nine times in ten: 0.08 is 8 %."""
    because: str = ""
    """Why it cannot be told."""


@dataclass(frozen=True)
class _Known:
    """A figure of the pairs that have it."""

    metric: str
    kind: Kind
    a: list[Estimate]
    b: list[Estimate]
    places: list[int]
    """Which of the pairs these are."""

    @property
    def log_ratios(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([two.place - one.place for one, two in zip(self.a, self.b, strict=True)])


def paired_figures(
    pairs: Sequence[tuple[Figures, Figures]], threshold: float, floors: Mapping[str, float]
) -> list[PairedFigure]:
    """Every figure of these pairs, of which there must be one at least.

    `threshold` 0.05 is 5 %; `floors` has by metric how far apart two equal variants were, in the same form.
    """
    found: dict[str, PairedFigure] = {}
    known: list[_Known] = []
    for metric in dict.fromkeys(metric for pair in pairs for figures in pair for metric in figures):
        one = _gathered(metric, pairs)
        if isinstance(one, _Known):
            known.append(one)
        else:
            found[metric] = one
    if known:
        # A pair that does not have a figure says nothing about it: no difference, whatever its sign.
        log_ratios = np.zeros((len(pairs), len(known)))
        for column, one in enumerate(known):
            log_ratios[one.places, column] = one.log_ratios
        flips = sign_flips(log_ratios)
        for column, one in enumerate(known):
            least = max(threshold, floors.get(one.metric, 0.0))
            found[one.metric] = _judged(one, float(flips.p[column]), flips, least)
    order = list(dict.fromkeys(metric for pair in pairs for figures in pair for metric in figures))
    return [found[metric] for metric in order]


def exit_code(figures: Sequence[PairedFigure], pairs: int) -> ExitCode:
    """1 for a regression; 5 where nothing could be told, or fewer pairs than can show one; else 0."""
    if any(one.finding is Finding.REGRESSION for one in figures):
        return ExitCode.SLA_FAILED
    is_known = any(one.finding is not Finding.CANNOT_TELL for one in figures)
    return ExitCode.OK if is_known and pairs >= LEAST_PAIRS else ExitCode.UNKNOWN


def _gathered(metric: str, pairs: Sequence[tuple[Figures, Figures]]) -> _Known | PairedFigure:
    kind = next(figures[metric][0] for pair in pairs for figures in pair if metric in figures)
    missing = Unknown("a run does not have it")
    readings = [tuple(figures.get(metric, (kind, missing))[1] for figures in pair) for pair in pairs]
    came = [[one for one in side if isinstance(one, Estimate)] for side in zip(*readings, strict=True)]
    never = [sum(one.never for one in side) for side in came]
    if any(never):
        return _of_what_never_came(metric, kind, never, len(pairs))
    places = [
        number
        for number, (one, two) in enumerate(readings)
        if isinstance(one, Estimate) and isinstance(two, Estimate) and one.basis == two.basis
    ]
    if len(places) < max(1, FEWEST_KNOWN * len(pairs)):
        reasons = [one.because for pair in readings for one in pair if isinstance(one, Unknown)]
        because = reasons[-1] if reasons else "it was read from another column in each"
        return PairedFigure(metric, kind.unit, Finding.CANNOT_TELL, because=because)
    a, b = ([readings[number][side] for number in places] for side in (0, 1))
    return _Known(
        metric,
        kind,
        [one for one in a if isinstance(one, Estimate)],
        [one for one in b if isinstance(one, Estimate)],
        places,
    )


def _of_what_never_came(metric: str, kind: Kind, never: Sequence[int], pairs: int) -> PairedFigure:
    """What did not come in every run of one side and came in all of the other's needs no ratio."""
    p = 2.0 ** (1 - pairs)
    finding = Finding.CANNOT_TELL
    if p <= LEVEL and list(never) == [0, pairs]:
        finding = Finding.REGRESSION
    elif p <= LEVEL and list(never) == [pairs, 0]:
        finding = Finding.IMPROVEMENT
    because = f"it never came in {never[0]} runs of a and {never[1]} of b"
    return PairedFigure(
        metric, kind.unit, finding, p=p if finding is not Finding.CANNOT_TELL else None, because=because
    )


def _judged(known: _Known, p: float, flips: SignFlips, least: float) -> PairedFigure:
    log_ratios, half = known.log_ratios, math.log1p(least)
    typical = hodges_lehmann(log_ratios)
    worse = typical if known.kind.is_lower_better else -typical
    a, b = (median(one.value for one in side) for side in (known.a, known.b))
    resolution = median(one.resolution for one in (*known.a, *known.b))
    outer, inner = interval(log_ratios), interval(log_ratios, 1 - 2 * LEVEL)
    told = smallest_told(log_ratios, flips.critical, half)
    finding, because = Finding.CANNOT_TELL, ""
    is_beyond = p <= LEVEL and abs(worse) > half
    if is_beyond and abs(b - a) > resolution:
        finding = Finding.REGRESSION if worse > 0 else Finding.IMPROVEMENT
    elif is_beyond:
        because = "resolution"
    elif inner is not None and -half < inner[0] and inner[1] < half:
        finding = Finding.NO_DIFFERENCE
    elif inner is not None and a * math.expm1(min(max(-inner[0], inner[1]), 700.0)) <= resolution:
        finding = Finding.NO_DIFFERENCE  # whatever it is, it is below what can be shown
    elif len(log_ratios) < LEAST_PAIRS:
        because = f"{LEAST_PAIRS} pairs are the least that can show one"
    else:
        because = "spread"
    return PairedFigure(
        known.metric,
        known.kind.unit,
        finding,
        a,
        b,
        _exp(typical),
        _exp(outer[0]) if outer else None,
        _exp(outer[1]) if outer else None,
        p,
        None if told is None else math.expm1(min(told, 700.0)),
        because,
    )


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
