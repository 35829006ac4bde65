"""Quantities: what is read, what is refused, and that reading and writing agree."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10ms", 10_000_000), ("1.5s", 1_500_000_000), ("2 min", 120 * 10**9), ("250us", 250_000), ("7ns", 7)],
)
def test_a_duration_is_read_in_ns(text: str, expected: int) -> None:
    assert units.duration_ns(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1000/s", 1000.0), ("60/min", 1.0), ("0.5/s", 0.5), ("36/h", 0.01)]
)
def test_a_rate_is_read_per_second(text: str, expected: float) -> None:
    assert units.rate_per_s(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("100MB", 10**8), ("16MiB", 2**24), ("1.5kB", 1500), ("3B", 3)]
)
def test_a_size_tells_powers_of_1000_from_powers_of_1024(text: str, expected: int) -> None:
    assert units.size_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("99.9%", 0.999), ("0.5%", 0.005), ("150%", 1.5), ("7%", 0.07)]
)
def test_a_percentage_is_the_nearest_ratio(text: str, expected: float) -> None:
    assert units.ratio(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "10", "10 parsecs", "-1ms", "ms", "1e3ms", "nanms", "infs", "1,5s", "\u0661s", "1" * 30 + "s"],
)
def test_what_is_no_duration_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a duration such as .*, found "):
        units.duration_ns(text)


def test_a_number_without_unit_is_refused_with_an_example() -> None:
    with pytest.raises(units.Mismatch) as refused:
        units.duration_ns("10")
    assert refused.value.found == '"10" without a unit'
    assert refused.value.advice == 'write the unit, such as "10ms"'


@given(st.integers(0, 10**6), st.sampled_from(sorted(units.NS)))
def test_a_whole_number_of_any_duration_unit_is_exact(number: int, unit: str) -> None:
    assert units.duration_ns(f"{number}{unit}") == number * units.NS[unit]


@given(st.integers(0, 10**9), st.sampled_from(sorted(units.BYTES)))
def test_a_whole_number_of_any_size_unit_is_exact(number: int, unit: str) -> None:
    assert units.size_bytes(f"{number}{unit}") == number * units.BYTES[unit]


@given(st.integers(0, 10**15))
def test_a_formatted_duration_reads_back_within_three_digits(duration: int) -> None:
    text = units.format_duration_ns(duration).replace(" ", "")
    assert math.isclose(units.duration_ns(text), duration, rel_tol=0.006, abs_tol=1)


@given(st.floats(0.01, 1e9))
def test_a_formatted_rate_reads_back_within_three_digits(rate: float) -> None:
    assert math.isclose(
        units.rate_per_s(units.format_rate(rate).replace(" ", "")), rate, rel_tol=0.006, abs_tol=0.006
    )


@given(st.integers(0, 10**14))
def test_a_formatted_size_reads_back_within_three_digits(size: int) -> None:
    assert math.isclose(
        units.size_bytes(units.format_bytes(size).replace(" ", "")), size, rel_tol=0.006, abs_tol=1
    )


@given(st.floats(1e-6, 1 - 1e-6))
def test_a_formatted_ratio_keeps_the_digits_after_the_nines(ratio: float) -> None:
    read = units.ratio(units.format_ratio(ratio).replace(" ", ""))
    assert math.isclose(read, ratio, rel_tol=0.01)
    assert math.isclose(1 - read, 1 - ratio, rel_tol=0.06)


def _mismatch(parse: Callable[[str], object], text: str) -> units.Mismatch | None:
    try:
        parse(text)
    except units.Mismatch as mismatch:
        return mismatch
    return None


@given(st.text())
def test_arbitrary_text_is_a_quantity_or_a_mismatch(text: str) -> None:
    for parse in (units.duration_ns, units.rate_per_s, units.size_bytes, units.ratio, units.quantity):
        mismatch = _mismatch(parse, text)
        if mismatch is not None:
            assert mismatch.expected
            assert mismatch.advice
            assert "\n" not in str(mismatch)


def test_quoting_keeps_hostile_text_on_one_line_and_short() -> None:
    assert units.quoted("a\x1b[31m\nb") == '"a\\x1b[31m\\nb"'
    assert len(units.quoted("x" * 1000)) <= 62
