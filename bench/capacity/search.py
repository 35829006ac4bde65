"""Where the capacity lies by the probes so far, and which rate to try next: a pure function of them.

A search can be continued later.

A probe below the capacity holds and one above it breaks, but near it either can happen, and anywhere a
probe can go wrong once (probabilistic bisection: Waeber, Frazier and Henderson, SIAM J. Control Optim.
51(3), 2013). So one probe proves nothing by itself, and two that contradict each other leave both
possible until others decide. Pure.

    start ─▶ bracket: up while the rules hold, down while they break
          ─▶ halve the bracket on a logarithmic scale, by what is believed of each rate so far
          ─▶ try both ends of an interval as wide as the precision, until both are shown
          ─▶ ended, with the highest rate shown to hold and the lowest shown not to

Going up, a rate is at least doubled; where what was measured is mostly idle the step is larger. Where a probe
cannot tell, the next ones are made beside its rate, further out each time and longer, until they can. A rate
that the generator could not offer is tried once more; then the search stays below it, and ends at the
generator's limit if it finds no other.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

LAPSE = 0.02
"""How often a probe goes wrong however far it is from the capacity."""
BLUR = 0.5
"""Of the precision asked: the standard deviation of the rate, as a logarithm, at which a probe turns."""
LIKE_NORMAL = 1.702
STEPS_PER_PRECISION = 8
REACH = 8.0
"""How far beyond the outermost probes the capacity may lie, as a factor."""


@dataclass(frozen=True)
class Belief:
    """How likely the capacity is at each of some rates, which rise in equal logarithmic steps."""

    log_rates: NDArray[np.float64]
    weights: NDArray[np.float64]

    def share_above(self, rate_per_s: float) -> float:
        """The probability that the capacity is at least `rate_per_s`."""
        return float(self.weights[self.log_rates >= math.log(rate_per_s) - 1e-12].sum())

    def quantile(self, share: float) -> float:
        """The rate below which the capacity lies with a probability of `share`."""
        place = int(np.searchsorted(np.cumsum(self.weights), share))
        return math.exp(float(self.log_rates[min(place, len(self.log_rates) - 1)]))


def belief(decided: Iterable[tuple[float, bool]], precision: float) -> Belief:
    """After probes, each a rate per second and whether the rules held. Raises ValueError for none."""
    probes = list(decided)
    logs = np.log([rate for rate, _ in probes])
    step = math.log1p(precision) / STEPS_PER_PRECISION
    grid = np.arange(logs.min() - math.log(REACH), logs.max() + math.log(REACH) + step, step)
    likely = np.zeros(len(grid))
    for rate, held in probes:
        holds = LAPSE + (1 - 2 * LAPSE) * _normal((grid - math.log(rate)) / (BLUR * math.log1p(precision)))
        likely += np.log(holds if held else 1 - holds)
    weights = np.exp(likely - likely.max())
    return Belief(grid, weights / weights.sum())


def _normal(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal distribution, to 1 %, by the logistic one."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(LIKE_NORMAL * z, -60, 60)))
    return found


SHOWN, LIKELY = 0.92, 0.8
"""With this probability the capacity is above a rate that is shown to hold, below one shown not to; where the
probes show no rate with the first, that with the second counts.
"""
LEAST_STEP, LONGEST_STEP = 2.0, 8.0
BUSY_AFTER_STEP = 0.7
"""How busy the busiest resource may be after a step that is longer than a doubling."""
ASIDE = 0.45
"""Of the precision: how far both ends of the final interval are from its middle."""
ALIKE = 0.25
"""Of the precision: rates that differ by less are one."""
NARROW = 3.0
"""Times the precision, as a logarithm: from so narrow a belief on both its ends are tried, not its middle."""
MOST_DOUBLINGS = 2
REPEATS = 2
"""So many probes that the generator could not offer are its limit."""
FRUITLESS, FRUITLESS_BETWEEN = 4, 6
"""So many probes in a row of which none could tell end the search; more between a rate that held and one that
broke, where it may be the capacity that makes them so.
"""
DIGITS = 4
"""Of a rate that is tried: it is read, and typed, by people."""


class Reading(StrEnum):
    """What a probe says about its rate."""

    HELD = "held"
    """All rules held, and the target kept up."""
    BROKE = "broke"
    UNDECIDED = "undecided"
    """The run could not tell (INCONCLUSIVE), or measured something else as well (INVALID)."""
    GENERATOR = "generator"
    """The generator could not offer the rate."""


@dataclass(frozen=True)
class Trial:
    """One probe, as the search sees it."""

    rate_per_s: float
    reading: Reading
    busy: float | None = None
    """The share in use of whatever was busiest; None where nothing is known."""


@dataclass(frozen=True)
class Bounds:
    """What the search is to keep to."""

    start_per_s: float
    lowest_per_s: float
    highest_per_s: float = math.inf
    precision: float = 0.05
    """The highest rate shown to hold and the lowest shown not to differ by at most this share."""
    most_probes: int = 15


class Ending(StrEnum):
    """Why a search ended."""

    PRECISE = "precise"
    """The interval is as narrow as asked."""
    UNDECIDED = "undecided"
    """No probe between its bounds could tell."""
    GENERATOR = "generator"
    """The generator reached its limit before the target did."""
    HIGHEST = "max_rate"
    """The rules still hold at the highest rate allowed."""
    LOWEST = "lowest"
    """The rules break even at the lowest rate."""
    PROBES = "max_probes"


@dataclass(frozen=True)
class Probe:
    """What to try next."""

    rate_per_s: float
    longer: int = 0
    """How often its measured time is to be doubled."""


@dataclass(frozen=True)
class Findings:
    """What a search has shown so far; `held_per_s` < `broke_per_s` where both are known."""

    held_per_s: float | None
    """The highest rate shown to hold."""
    broke_per_s: float | None
    """The lowest rate shown not to."""


def findings(trials: Sequence[Trial], precision: float) -> Findings:
    """The interval that the probes have shown. Both ends are rates that were tried."""
    known = _belief(trials, precision)
    if known is None:
        return Findings(None, None)
    held = {rate: known.share_above(rate) for rate in _rates(trials, Reading.HELD)}
    broke = {rate: 1 - known.share_above(rate) for rate in _rates(trials, Reading.BROKE)}
    return Findings(_shown(held, max), _shown(broke, min))


def _shown(certainty: dict[float, float], best: Callable[[list[float]], float]) -> float | None:
    """The best of the rates that are certain enough; None for none."""
    for level in (SHOWN, LIKELY):
        if rates := [rate for rate, certain in certainty.items() if certain >= level]:
            return best(rates)
    return None


def next_step(trials: Sequence[Trial], bounds: Bounds) -> Probe | Ending:
    """The next probe, or why there is none."""
    if not trials:
        return Probe(_typed(min(bounds.start_per_s, bounds.highest_per_s)))
    found, known = findings(trials, bounds.precision), _belief(trials, bounds.precision)
    if found.held_per_s and found.broke_per_s and _is_narrow(found, bounds.precision):
        return Ending.PRECISE
    if len(trials) >= bounds.most_probes:
        return Ending.PROBES
    last = trials[-1]
    if (
        last.reading is Reading.GENERATOR
        and _rates(trials, Reading.GENERATOR).count(last.rate_per_s) < REPEATS
    ):
        return Probe(last.rate_per_s)
    if known is None:
        return _without_any(trials, bounds)
    held, broke = _rates(trials, Reading.HELD), _rates(trials, Reading.BROKE)
    ceiling = _ceiling(trials)
    if not broke:
        return _upwards(trials, max(held), ceiling, bounds)
    if not held:
        return _downwards(min(broke), bounds)
    return _between(trials, found, known, ceiling, bounds)


def _upwards(trials: Sequence[Trial], held: float, ceiling: float, bounds: Bounds) -> Probe | Ending:
    """No rate has broken the rules yet."""
    if held >= _typed(bounds.highest_per_s):
        return Ending.HIGHEST
    if ceiling < math.inf:
        if ceiling / held <= 1 + bounds.precision:
            return Ending.GENERATOR
        return Probe(_typed(math.sqrt(held * ceiling)))
    vain = _in_vain(trials)
    above = [rate for rate in _rates(trials, Reading.UNDECIDED) if rate > held]
    if max(vain, len(above)) >= FRUITLESS:
        return Ending.UNDECIDED
    highest = max([held, *above])
    if highest >= _typed(bounds.highest_per_s) or (above and vain % 2 == 0):
        # Not ever further: what disturbs may be no load at all.
        lowest = min([*above, bounds.highest_per_s])
        return Probe(_typed(math.sqrt(held * lowest)), longer=1)
    busy = next((trial.busy for trial in reversed(trials) if trial.rate_per_s == held), None)
    step = LEAST_STEP if not busy else min(max(BUSY_AFTER_STEP / busy, LEAST_STEP), LONGEST_STEP)
    return Probe(_typed(min(highest * step, bounds.highest_per_s)))


def _downwards(broke: float, bounds: Bounds) -> Probe | Ending:
    """No rate has held yet: ever larger steps, as there may be none that does."""
    if broke <= _typed(bounds.lowest_per_s):
        return Ending.LOWEST
    step = LEAST_STEP if broke > bounds.start_per_s / LEAST_STEP**2 else LONGEST_STEP
    return Probe(_typed(max(broke / step, bounds.lowest_per_s)))


def _between(
    trials: Sequence[Trial], found: Findings, known: Belief, ceiling: float, bounds: Bounds
) -> Probe | Ending:
    """A rate has held and one has broken the rules: narrow it down."""
    precision, middle = bounds.precision, known.quantile(0.5)
    if _undecided(trials, found):
        return _beside(trials, found, bounds)
    aside = (1 + precision) ** ASIDE
    wanted = middle
    if known.quantile(SHOWN) / known.quantile(1 - SHOWN) <= (1 + precision) ** NARROW:
        # To be shown, an end must have been tried: the one that is less certain first.
        low, high = middle / aside, middle * aside
        near = 1 + precision * ALIKE
        is_low_shown = found.held_per_s is not None and found.held_per_s >= low / near
        is_high_shown = found.broke_per_s is not None and found.broke_per_s <= high * near
        low_first = (not is_low_shown, 1 - known.share_above(low)) >= (
            not is_high_shown,
            known.share_above(high),
        )
        wanted = low if low_first else high
    if wanted >= ceiling:
        return Ending.GENERATOR
    if wanted >= bounds.highest_per_s and (found.held_per_s or 0.0) >= _typed(bounds.highest_per_s):
        return Ending.HIGHEST
    return Probe(_typed(min(max(wanted, bounds.lowest_per_s), bounds.highest_per_s)))


def _beside(trials: Sequence[Trial], found: Findings, bounds: Bounds) -> Probe | Ending:
    """Beside the rates that could not tell, on the side where less is known: further out each time."""
    precision, undecided = bounds.precision, _undecided(trials, found)
    if _in_vain(trials) >= FRUITLESS_BETWEEN:
        return Ending.UNDECIDED
    out = (1 + precision) ** (2.0 ** (len(undecided) - 2))
    lowest, highest = min(undecided), max(undecided)
    below = math.inf if found.held_per_s is None else lowest / found.held_per_s
    above = math.inf if found.broke_per_s is None else found.broke_per_s / highest
    if max(below, above) <= 1 + precision:
        return Ending.UNDECIDED
    if below > above:
        wanted = max(lowest / out, lowest / math.sqrt(below)) if below < math.inf else lowest / out
    else:
        wanted = min(highest * out, highest * math.sqrt(above)) if above < math.inf else highest * out
    longer = min(len(undecided), MOST_DOUBLINGS)
    return Probe(_typed(min(max(wanted, bounds.lowest_per_s), bounds.highest_per_s)), longer)


def _in_vain(trials: Sequence[Trial]) -> int:
    """How many of the last probes, one after the other, could not tell."""
    told = (Reading.HELD, Reading.BROKE)
    return next((n for n, trial in enumerate(reversed(trials)) if trial.reading in told), len(trials))


def _undecided(trials: Sequence[Trial], found: Findings) -> list[float]:
    """The rates between the bounds at which no probe could tell."""
    low, high = found.held_per_s or 0.0, found.broke_per_s or math.inf
    told = {*_rates(trials, Reading.HELD), *_rates(trials, Reading.BROKE)}
    return [rate for rate in {*_rates(trials, Reading.UNDECIDED)} - told if low < rate < high]


def _without_any(trials: Sequence[Trial], bounds: Bounds) -> Probe | Ending:
    """No probe could tell yet: once more and longer, then at half the rate."""
    last = trials[-1]
    lowest = min(trial.rate_per_s for trial in trials)
    is_generator = all(trial.reading is Reading.GENERATOR for trial in trials)
    if not is_generator and _in_vain(trials) >= FRUITLESS:
        return Ending.UNDECIDED
    if last.reading is Reading.UNDECIDED and len(_rates(trials, Reading.UNDECIDED)) % REPEATS:
        return Probe(last.rate_per_s, longer=1)
    if lowest <= _typed(bounds.lowest_per_s):
        return Ending.GENERATOR if is_generator else Ending.UNDECIDED
    return Probe(_typed(max(lowest / LEAST_STEP, bounds.lowest_per_s)))


def _ceiling(trials: Sequence[Trial]) -> float:
    """The lowest rate that the generator could not offer when it was asked again; infinite for none."""
    held = max(_rates(trials, Reading.HELD), default=0.0)
    refused = _rates(trials, Reading.GENERATOR)
    return min((r for r in refused if r > held and refused.count(r) >= REPEATS), default=math.inf)


def _is_narrow(found: Findings, precision: float) -> bool:
    assert found.held_per_s is not None
    assert found.broke_per_s is not None
    return found.broke_per_s / found.held_per_s <= 1 + precision + 1e-9


def _belief(trials: Sequence[Trial], precision: float) -> Belief | None:
    decided = [
        (trial.rate_per_s, trial.reading is Reading.HELD)
        for trial in trials
        if trial.reading in (Reading.HELD, Reading.BROKE)
    ]
    return belief(decided, precision) if decided else None


def _rates(trials: Sequence[Trial], reading: Reading) -> list[float]:
    return [trial.rate_per_s for trial in trials if trial.reading is reading]


def _typed(rate_per_s: float) -> float:
    """Rounded to a few digits."""
    if not math.isfinite(rate_per_s):
        return rate_per_s
    return float(f"{rate_per_s:.{DIGITS}g}")
