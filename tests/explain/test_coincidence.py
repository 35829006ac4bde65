"""Events that have nothing to do with the tail are named in at most one of twenty runs; others are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explain.events import ALPHA, CauseKind, Event, excess, explained, p_values, sign_flip_p
from bench.explain.explanation import explanation_of
from bench.explain.tail import Tail
from tests.explain.histories import ARRIVALS, WINDOWS, series, tail

TRIALS = 400
HIGHEST = 0.05 + 3 * (0.05 * 0.95 / TRIALS) ** 0.5
"""Three standard deviations above 5 %."""


def bursts(random: np.random.Generator, number: int, longest: int) -> np.ndarray:
    """Windows in bursts of up to `longest`, at random."""
    on = np.zeros(WINDOWS, dtype=bool)
    for start in random.integers(0, WINDOWS, number):
        on[np.arange(start, start + random.integers(1, longest + 1)) % WINDOWS] = True
    return on


def unrelated(random: np.random.Generator, kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """A tail and a family of events that know nothing of each other."""
    if kind == "poisson":
        beyond = random.poisson(20.0, WINDOWS).astype(float)
    elif kind == "bursts":
        beyond = np.where(bursts(random, 4, 3), random.exponential(300.0, WINDOWS).round(), 0.0)
    else:  # a tail that comes and goes slowly
        level = np.cumsum(random.normal(0, 0.5, WINDOWS))
        beyond = random.poisson(20 * np.exp(level - level.mean()).clip(0.01, 40)).astype(float)
    events = [bursts(random, int(random.integers(1, 9)), 4) for _ in range(random.integers(1, 9))]
    return beyond.clip(0, ARRIVALS), [on for on in events if on.any() and not on.all()]


@pytest.mark.parametrize("kind", ["poisson", "bursts", "drift"])
def test_of_unrelated_families_at_most_one_in_twenty_names_any(kind: str) -> None:
    random = np.random.default_rng(20260202)
    alarms = 0
    for _ in range(TRIALS):
        beyond, events = unrelated(random, kind)
        alarms += min(p_values(beyond, series(usual=ARRIVALS), events), default=1.0) <= ALPHA
    assert alarms / TRIALS <= HIGHEST


@pytest.mark.parametrize("kind", ["poisson", "bursts"])
def test_whole_explanations_of_unrelated_events_name_a_cause_in_at_most_one_of_twenty(kind: str) -> None:
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(TRIALS):
        beyond, events = unrelated(random, kind)
        family = [Event(CauseKind.SLOW_COMMAND, "redis", f"C{n}", on) for n, on in enumerate(events)]
        slow = (100.0, random.binomial(beyond.astype(int), 0.1).astype(float))
        alarms += bool(explanation_of("run", "s", tail(beyond, slow=slow), family).causes)
    assert alarms / TRIALS <= HIGHEST


def test_an_event_that_makes_the_tail_is_nearly_always_found() -> None:
    random = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        on = bursts(random, 4, 2)
        beyond = random.poisson(3.0, WINDOWS) + np.where(on, random.poisson(100.0, WINDOWS), 0.0)
        _, others = unrelated(random, "bursts")
        found += p_values(beyond.astype(float), series(usual=ARRIVALS), [on, *others])[0] <= ALPHA
    assert found >= 90


@given(st.lists(st.integers(0, 500), min_size=WINDOWS, max_size=WINDOWS), st.integers(0, 2**WINDOWS - 1))
def test_what_is_explained_is_a_part_of_the_tail_within_the_event(beyond: list[int], bits: int) -> None:
    slow = np.array(beyond, dtype=float)
    on = np.array([bits >> window & 1 for window in range(WINDOWS)], dtype=bool)
    arrivals = series(usual=ARRIVALS)
    mass = explained(slow, arrivals, on)
    assert (mass >= 0).all()
    assert (mass <= slow + 1e-9).all()
    assert not mass[~on].any()
    assert mass.sum() == pytest.approx(excess(slow, arrivals, on))
    (p,) = p_values(slow, arrivals, [on])
    assert 1 / WINDOWS <= p <= 1.0


def test_an_event_that_is_always_on_or_never_explains_nothing() -> None:
    slow, arrivals = series({3: 50.0}), series(usual=ARRIVALS)
    for on in (np.ones(WINDOWS, dtype=bool), np.zeros(WINDOWS, dtype=bool)):
        assert excess(slow, arrivals, on) == 0.0
        assert p_values(slow, arrivals, [on]) == [1.0]


def test_an_excess_in_few_windows_is_chance_and_in_many_it_is_not() -> None:
    assert sign_flip_p(series({1: 5.0, 9: 3.0})) > ALPHA
    assert sign_flip_p(series(dict.fromkeys(range(12), 2.0))) < 0.01
    assert sign_flip_p(series()) == 1.0


def test_windows_are_touched_by_what_overlaps_them() -> None:
    found: Tail = tail(series())
    assert np.flatnonzero(found.touched(1_500_000_000, 3_000_000_000)).tolist() == [1, 2]
    assert np.flatnonzero(found.touched(2_000_000_000, 2_000_000_001)).tolist() == [2]
