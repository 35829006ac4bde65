"""Totals that must not move, and forms of writes that can be read back."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from chaos.integrity.ledger import Reading, WrittenForm, judge_totals


def readings(*totals: int | None) -> list[Reading]:
    return [Reading(at, total) for at, total in enumerate(totals)]


def test_a_total_that_stays_is_right() -> None:
    assert judge_totals(readings(100, 100, 100)).wrong == 0
    assert judge_totals([]).wrong == 0


def test_the_first_the_worst_and_the_last_wrong_total_are_shown() -> None:
    found = judge_totals(readings(100, 99, 100, 40, 105, 101))
    assert found.wrong == 4
    assert [one.found for one in found.examples] == ["99", "40", "101"]


def test_a_total_that_is_gone_is_wrong() -> None:
    assert judge_totals(readings(100, None)).examples[0].found == "nothing"


def test_numbers_of_other_types_are_the_same_number() -> None:
    assert judge_totals([Reading(0, 100), Reading(1, Decimal("100.00"))]).wrong == 0


@given(
    st.lists(st.one_of(st.binary(max_size=6), st.sampled_from([12, 13])), max_size=5),
    st.integers(0, 10**12 - 1),
    st.integers(0, 10**12 - 1),
)
def test_what_an_arrival_wrote_is_known_again(pieces: list[bytes | int], arrival: int, other: int) -> None:
    form = WrittenForm((*pieces, b":", 12))
    assert form.arrival_of(form.of(arrival)) == arrival
    assert (form.of(arrival) == form.of(other)) == (arrival == other)


@given(st.binary(max_size=40))
def test_anything_else_is_nobodys(content: bytes) -> None:
    form = WrittenForm((b"run:", 12, b":", 12))
    arrival = form.arrival_of(content)
    assert arrival is None or form.of(arrival) == content
