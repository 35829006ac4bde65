"""Counts in sentences."""

import pytest

from bench.core.units import often


@pytest.mark.parametrize(("count", "words"), [(1, "once"), (2, "2 times"), (2894, "2 894 times")])
def test_what_happened_one_time_happened_once(count: int, words: str) -> None:
    assert often(count) == words
