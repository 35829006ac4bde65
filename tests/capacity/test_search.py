"""The search against targets that are simulated: with a limit, with noise, with probes that cannot tell."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity.search import Bounds, Ending, Findings, Reading, Trial, findings, next_step

HELD, BROKE, UNDECIDED, GENERATOR = Reading
RATES = st.floats(1, 1e6)


def searched(bounds, read, busy=lambda _: None):
    """The trials of a whole search, and how it ended; `read` gives the reading of a rate."""
    trials = []
    while not isinstance(step := next_step(trials, bounds), Ending):
        trials.append(Trial(step.rate_per_s, read(step.rate_per_s), busy(step.rate_per_s)))
        assert len(trials) <= bounds.most_probes
    return trials, step


@given(start=RATES, factor=st.floats(0.05, 60), precision=st.sampled_from([0.02, 0.05, 0.1]))
def test_a_limit_without_noise_is_found_within_the_precision(start, factor, precision):
    limit = start * factor
    bounds = Bounds(start, start / 64, precision=precision, most_probes=20)
    trials, ending = searched(
        bounds, lambda rate: HELD if rate <= limit else BROKE, lambda rate: rate / limit
    )
    found = findings(trials, precision)
    assert ending is Ending.PRECISE
    assert found.held_per_s <= limit <= found.broke_per_s <= found.held_per_s * (1 + precision) * 1.001


@given(data=st.data(), start=RATES, highest=st.one_of(st.just(math.inf), st.floats(1, 1e7)))
def test_whatever_the_probes_say_bounds_are_kept_and_the_interval_is_never_reversed(data, start, highest):
    bounds = Bounds(start, start / 64, max(highest, start / 64), most_probes=12)
    trials, _ = searched(bounds, lambda _: data.draw(st.sampled_from(list(Reading))))
    found = findings(trials, bounds.precision)
    if found.held_per_s is not None and found.broke_per_s is not None:
        assert found.held_per_s < found.broke_per_s
    slack = 1.001  # rates are rounded
    assert all(
        bounds.lowest_per_s / slack <= one.rate_per_s <= bounds.highest_per_s * slack for one in trials
    )


@given(data=st.data(), start=RATES)
def test_probes_that_cannot_tell_show_nothing(data, start):
    bounds = Bounds(start, start / 64)
    trials, ending = searched(bounds, lambda _: data.draw(st.sampled_from([UNDECIDED, GENERATOR])))
    assert findings(trials, bounds.precision) == Findings(None, None)
    assert ending in (Ending.UNDECIDED, Ending.GENERATOR)


def test_probes_that_cannot_tell_near_the_limit_leave_a_wider_interval_around_it():
    def read(rate):
        if 960 < rate < 1040:
            return UNDECIDED
        return HELD if rate < 1000 else BROKE

    trials, ending = searched(Bounds(100, 1), read, lambda rate: rate / 1000)
    found = findings(trials, 0.05)
    assert ending is Ending.UNDECIDED
    assert 850 < found.held_per_s <= 960
    assert 1040 <= found.broke_per_s < 1150


def test_a_probe_beside_one_that_could_not_tell_measures_longer():
    trials = [Trial(800, HELD), Trial(1600, BROKE), Trial(1131, UNDECIDED)]
    assert next_step(trials, Bounds(800, 10)).longer == 1


def test_a_machine_that_is_always_disturbed_ends_the_search_soon():
    trials, ending = searched(Bounds(1000, 10), lambda rate: HELD if rate < 1500 else UNDECIDED)
    assert ending is Ending.UNDECIDED
    assert len(trials) <= 8


def test_a_generator_that_reaches_its_limit_first_is_not_a_limit_of_the_target():
    trials, ending = searched(Bounds(100, 1), lambda rate: HELD if rate < 5000 else GENERATOR)
    found = findings(trials, 0.05)
    assert ending is Ending.GENERATOR
    assert found.broke_per_s is None
    assert 4500 < found.held_per_s < 5000


def test_a_generator_that_was_disturbed_once_is_asked_again():
    asked = []

    def read(rate):
        asked.append(rate)
        if len(asked) == 2:
            return GENERATOR
        return HELD if rate < 5000 else BROKE

    trials, _ = searched(Bounds(1000, 10), read)
    found = findings(trials, 0.05)
    assert asked[2] == asked[1]
    assert found.held_per_s < 5000 < found.broke_per_s


def test_the_search_ends_at_the_highest_rate_allowed():
    trials, ending = searched(Bounds(100, 1, 1500), lambda _: HELD)
    assert ending is Ending.HIGHEST
    assert findings(trials, 0.05) == Findings(1500, None)


def test_rules_that_break_at_every_rate_end_the_search_at_the_lowest():
    trials, ending = searched(Bounds(1000, 15), lambda _: BROKE)
    assert ending is Ending.LOWEST
    assert trials[-1].rate_per_s == 15
    assert len(trials) <= 5


def test_two_probes_that_contradict_each_other_are_both_doubted():
    trials = [Trial(800, HELD), Trial(1600, BROKE), Trial(1000, HELD), Trial(980, BROKE)]
    found = findings(trials, 0.05)
    assert found.held_per_s < 980
    assert found.broke_per_s > 1000


def test_an_idle_target_is_asked_for_much_more_at_once():
    (step,) = {next_step([Trial(100, HELD, busy=0.01)], Bounds(100, 1)).rate_per_s}
    assert step == 800
    assert next_step([Trial(100, HELD, busy=0.6)], Bounds(100, 1)).rate_per_s == 200


SERVICE_S, LIMIT_S = 0.001, 0.010


def p95_s(rate_per_s, arrivals, random):
    """P95 of the response times of a server of a fixed service time to Poisson arrivals (Lindley 1952)."""
    at_s = np.cumsum(random.exponential(1 / rate_per_s, arrivals))
    number = np.arange(arrivals)
    done_s = (number + 1) * SERVICE_S + np.maximum.accumulate(at_s - number * SERVICE_S)
    return np.percentile(done_s - at_s, 95)


@pytest.fixture(scope="module")
def capacity_per_s():
    """Where the P95 of a very long run is its limit."""
    low, high = 500.0, 999.0
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        holds = p95_s(middle, 2_000_000, np.random.default_rng(7)) < LIMIT_S
        low, high = (middle, high) if holds else (low, middle)
    return math.sqrt(low * high)


def test_the_interval_covers_the_capacity_of_a_queue_in_nine_searches_of_ten(capacity_per_s):
    covered, probes, rates = 0, [], []
    for seed in range(30):
        random = np.random.default_rng(seed)

        def read(rate, random=random):
            """Ten seconds of a run; the answer of each is noisy, most of all near the limit."""
            return HELD if p95_s(rate, max(int(10 * rate), 400), random) < LIMIT_S else BROKE

        start = float(random.uniform(50, 3000))
        trials, _ = searched(Bounds(start, start / 64), read, lambda rate: min(rate * SERVICE_S, 1.0))
        found = findings(trials, 0.05)
        assert found.broke_per_s is not None
        covered += found.held_per_s <= capacity_per_s <= found.broke_per_s
        probes.append(len(trials))
        rates.append(found.held_per_s)
    assert covered >= 27
    assert max(probes) <= 15
    assert np.median(np.abs(np.array(rates) / np.median(rates) - 1)) <= 0.05
