"""How much of a tail an event explains, and whether that may be chance. Pure.

An event is a series over the windows of a run: on or off. What it explains is the part of the tail beyond
what the windows without it would have had, too. Chance is judged by shifting the events against the tail: all
of them together, around the end of the run, so that both keep their bursts and how the events go together.
The p-value of an event is the share of shifts in which any of the events fits the tail at least as well (the
largest statistic of the family: Westfall and Young 1993, here with circular shifts), so that of families of
events that have nothing to do with the tail, at most one in twenty names any.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
Events = NDArray[np.bool_]

ALPHA = 0.05


def excess(tail: Series, arrivals: Series, on: Events) -> float:
    """How many arrivals of the tail came in windows with an event, beyond what is usual without; at least 0.

    An event in all windows, or in none, explains nothing: there is nothing to compare with.
    """
    off = ~on
    without = float(arrivals[off].sum())
    if not on.any() or without <= 0:
        return 0.0
    usual = float(tail[off].sum()) / without
    return max(float(tail[on].sum()) - usual * float(arrivals[on].sum()), 0.0)


def explained(tail: Series, arrivals: Series, on: Events) -> Series:
    """The same by window: no more than its tail, and nothing where the event is off."""
    total = excess(tail, arrivals, on)
    inside = np.where(on, tail, 0.0)
    mass = float(inside.sum())
    return inside * (min(total / mass, 1.0) if mass else 0.0)


def p_values(tail: Series, arrivals: Series, events: Sequence[Events]) -> list[float]:
    """Of each event of a family: the probability that one of them fits this well by chance."""
    windows = len(tail)
    if not events or not tail.sum() or not arrivals.sum():
        return [1.0] * len(events)
    # The share of the tail in windows with the event, less the share of the arrivals there, at each shift.
    tail_share, arrival_share = tail / tail.sum(), arrivals / arrivals.sum()
    difference = tail_share - arrival_share
    shifted = np.stack([np.roll(difference, shift) for shift in range(windows)])  # shift, window
    fits = shifted @ np.stack([np.asarray(on, dtype=np.float64) for on in events]).T  # shift, event
    best = fits.max(axis=1)
    return [
        float(np.count_nonzero(best >= fits[0, number] - 1e-12)) / windows for number in range(len(events))
    ]


def sign_flip_p(differences: Series, draws: int = 2000, seed: int = 1) -> float:
    """Whether a sum of differences exceeds 0 by more than chance: the share of random signs that get there.

    Exchangeable under the hypothesis that each is as likely to be positive as negative (Fisher 1935).
    """
    kept = differences[differences != 0]
    if not len(kept):
        return 1.0
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(draws, len(kept)))
    reached = np.count_nonzero(signs @ kept >= kept.sum() - 1e-12)
    return float(reached + 1) / (draws + 1)
