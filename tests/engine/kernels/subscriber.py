"""The subscriber's kernels, called one by one."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.jit import PLAIN
from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.subscriber import HEAD_DIGITS, WINDOW, check_off, missing_messages, on_message, unseen
from tests.engine.kernels.shards import shard_of

assert PLAIN, "run me with NUMBA_DISABLE_JIT=1"


PUBSUB = {"driver": "redis_pubsub", "channels": 2, "subscribers": 3, "value": {"bytes": 64}}


class NaiveSubscriber:
    """What a subscriber must conclude from the numbers that came, with sets."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.duplicates = self.reordered = 0
        self.given_up: set[int] = set()
        self.highest = -1

    def see(self, number: int) -> bool:
        is_new_head = number > self.highest
        if is_new_head:
            for left in range(max(self.highest + 1 - WINDOW, 0), number + 1 - WINDOW):
                if left not in self.seen:
                    self.given_up.add(left)
            self.highest = number
        elif number > self.highest - WINDOW and number in self.seen:
            self.duplicates += 1
            return False
        else:
            self.reordered += 1
        if number > self.highest - WINDOW:
            self.seen.add(number)
        return True

    def missing(self, published: int) -> set[int]:
        recent = range(max(self.highest + 1 - WINDOW, 0), published)
        return self.given_up | {number for number in recent if number not in self.seen}


def compare(numbers: list[int]) -> None:
    shard = shard_of(**PUBSUB)
    try:
        naive = NaiveSubscriber()
        tables = shard.tables
        for number in numbers:
            assert check_off(tables, 2, 1, 1, number) == naive.see(number)
        assert shard.gauge(layout.DUPLICATES) == naive.duplicates
        assert shard.gauge(layout.REORDERED) == naive.reordered
        published = max(numbers, default=-1) + 3
        tables.sequences[1, 1] = published
        listed = {int(row[3]) for row in missing_messages(shard.tables) if tuple(row[:3]) == (2, 1, 1)}
        assert listed == naive.missing(published)
        assert shard.gauge(layout.MISSING_FULL) == 0
    finally:
        shard.close()


STEPS = st.lists(
    st.one_of(
        st.integers(1, 3), st.integers(-5, 5), st.integers(-WINDOW - 3, WINDOW + 3), st.integers(-3000, 3000)
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_subscriber_checks_off_as_a_naive_one_with_sets(steps: list[int]) -> None:
    at, numbers = 0, []
    for step in steps:
        at = max(at + step, 0)
        numbers.append(at)
    compare(numbers)


@pytest.mark.parametrize("distance", [1, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW])
def test_gaps_and_late_comers_around_the_window_are_told_apart(distance: int) -> None:
    compare([0, distance, 1, distance, 0, distance + 1])


def test_a_shuffled_stream_loses_nothing() -> None:
    numbers = list(range(5000))
    mixed = sorted(numbers, key=lambda n: n + random.Random(n).randrange(WINDOW - 1))
    compare(mixed)
    compare([number for number in mixed if number % 7])
    compare(mixed + mixed[-WINDOW:])


def test_nothing_published_is_nothing_missing() -> None:
    assert unseen(np.zeros(33 + 1, dtype=np.int64), 0).size == 0
    assert unseen(np.zeros(33 + 1, dtype=np.int64), 3).tolist() == [0, 1, 2]


def message(publisher: int, channel: int, sequence: int, planned: int) -> bytes:
    return b"%05d%05d%012d%018d" % (publisher, channel, sequence, planned)


@pytest.mark.parametrize(
    "text",
    [
        message(4, 0, 0, 0),
        message(0, 2, 0, 0),
        message(0, 0, 5, 0),
        message(0, 0, 999_999_999_999, 0),
        message(0, 0, 0, 10**10),
        b"hello" * 10,
        message(0, 0, 0, 0)[:-1],
    ],
)
def test_a_message_that_cannot_be_ours_is_a_stray_one(text: bytes) -> None:
    shard = shard_of(**PUBSUB)
    try:
        tables = shard.tables
        tables.sequences[:] = 5
        lane = tables.settings[layout.LANES]
        tables.texts[lane, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        on_message(tables, lane, len(text), 1000)
        assert shard.gauge(layout.STRAY_MESSAGES) == 1
        assert shard.gauge(layout.DELIVERED) == 0
        assert not tables.seen.any()
    finally:
        shard.close()


def test_a_message_is_timed_from_its_planned_publish() -> None:
    shard = shard_of(**PUBSUB)
    try:
        tables = shard.tables
        tables.sequences[:] = 5
        text = message(0, 1, 4, 1_000_000)
        assert len(text) == HEAD_DIGITS
        lane = tables.settings[layout.LANES]
        tables.texts[lane, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        on_message(tables, lane, len(text), 1_000_500)
        assert tables.counts[1, layout.RESPONSE, Outcome.OK, 500] == 1
        assert shard.gauge(layout.DELIVERED) == 1
    finally:
        shard.close()
