"""A few cells of the matrix in planted.py; all of it runs with python -m tests.truth.planted."""

import pytest

from tests.truth.planted import ARRIVALS, RULES, WANTED, contradictions, verdict
from tests.truth.truth_server import BEHAVIOURS


def test_every_behaviour_has_a_verdict_that_it_must_come_to() -> None:
    assert set(WANTED) == set(BEHAVIOURS)
    assert all(set(loops) == set(ARRIVALS) for loops in WANTED.values())
    assert all(len(wanted) == len(RULES) for loops in WANTED.values() for wanted in loops.values())


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("behaviour", "loop", "threads"),
    [
        ("fixed", "open", 2),
        ("hangs", "closed", 1),
        pytest.param("overload", "open", 2, marks=pytest.mark.long),
    ],
)
def test_what_is_bad_never_passes_and_what_is_good_never_fails(
    behaviour: str, loop: str, threads: int
) -> None:
    assert contradictions(behaviour, loop, verdict(behaviour, loop, threads)) == []
