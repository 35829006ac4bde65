"""Parameters that are text: what a scenario may say, and what braces mean around a name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.compile import compile_plan
from bench.scenario.templates import Piece, Placeholder, pieces_of, placeholders

SCENARIO = """\
scenario: example
purpose: shows what becomes of texts
workloads:
  - name: load
    target: api
    driver: http
    arrivals: constant
    rate: 10/s
    parameters: {{a: {parameter}}}
    operations:
      ask: {{request: {request}}}
phases: [{{name: steady, for: 1s}}]
"""


def with_parameter(parameter: str, request: str = '{path: "/", headers: {X-A: "{a}"}}') -> str:
    return SCENARIO.format(parameter=parameter, request=request)


@pytest.mark.parametrize(
    ("parameter", "choices", "is_number"),
    [
        ("{pick: [red, 'two words', 3, 1.5, '7']}", ("red", "two words", 3, 1.5, "7"), False),
        ("{pick: [1, 2.5, -3]}", (1, 2.5, -3), True),
        ("{pick: [yes, 2024-01-01]}", ("yes", "2024-01-01"), False),
        ("{date: {from: 2023-12-30, to: 2024-01-01}}", ("2023-12-30", "2023-12-31", "2024-01-01"), False),
        ("{text: 8}", (), False),
        ("{count: 8}", (), True),
    ],
)
def test_a_parameter_picks_from_what_is_written(
    load: Any, parameter: str, choices: tuple[object, ...], is_number: bool
) -> None:
    found = load(with_parameter(parameter)).scenario.workloads[0].parameters["a"]
    assert (found.choices, found.is_number) == (choices, is_number)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("{pick: []}", "expected at least 1"),
        ("{pick: [red, true]}", "expected texts and numbers, found the truth value true; put it in quotes"),
        ("{pick: [red, null]}", "expected texts and numbers, found nothing"),
        ("{pick: [01234]}", 'write "01234" in quotes for text'),
        ("{pick: [.nan]}", "expected a number that JSON has"),
        (
            "{pick: [a], count: 3}",
            "expected one of count, pick, text, date, or from and to, found count and pick",
        ),
        ("{text: 4, from: 1, to: 2}", "found text and from and to; keep one of them"),
        ("{text: 0}", "expected a whole number 1..1000"),
        ("{date: {from: yesterday, to: 2024-01-01}}", "expected a day such as 2026-11-29, found yesterday"),
        ("{date: {from: 2024-01-02, to: 2024-01-01}}", "expected from to be at most to"),
        ("{date: {from: 0001-01-01, to: 9999-12-31}}", "and at most 100000 days"),
        ("{}", "expected either count, or from and to, found neither"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(problems: Any, parameter: str, said: str) -> None:
    found = [str(problem) for problem in problems(with_parameter(parameter))]
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            '{path: "/{a}"}',
            'expected printable ASCII for {a} in a path, without spaces and #, found "two words"',
        ),
        ('{path: "/", headers: {X-A: "{a}"}}', 'expected printable ASCII for {a} in a header, found "grün"'),
    ],
)
def test_a_text_that_would_break_the_head_of_a_request_is_refused(
    problems: Any, request_: str, expected: str
) -> None:
    words = "two words" if "path, w" in expected else "grün"
    (problem,) = problems(with_parameter(f"{{pick: [a, {words}]}}", request_))
    assert expected in str(problem)


def test_any_text_may_stand_in_a_body(load: Any) -> None:
    text = with_parameter("{pick: [two words, grün]}", '{method: POST, path: "/", json: {a: "{a}"}}')
    assert compile_plan(load(text).scenario).workloads[0].program.cells.shape == (2, 2)


def test_equal_lists_share_their_cells(load: Any) -> None:
    text = with_parameter("{pick: [one, two, three]}", '{method: POST, path: "/{a}", body: "{a}{a}"}')
    assert compile_plan(load(text).scenario).workloads[0].program.cells.shape == (3, 2)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a{b}c", [("a", False), ("b", True), ("c", False)]),
        ("{{b}}", [("{b}", False)]),
        ("x{{b}}{b}", [("x{b}", False), ("b", True)]),
        ("{{{b}}}y", [("{", False), ("b", True), ("}y", False)]),
        ('{"a": {"b": {c}}}', [('{"a": {"b": ', False), ("c", True), ("}}", False)]),
        ("{{", [("{{", False)]),
        ("{{1}}", [("{{1}}", False)]),
        ("", []),
    ],
)
def test_doubled_braces_around_a_name_are_braces(text: str, pieces: list[tuple[str, bool]]) -> None:
    assert pieces_of(text) == [Piece(*piece) for piece in pieces]


@given(st.text(alphabet="{}ab1", max_size=20))
def test_pieces_and_placeholders_are_the_same_names_and_lose_nothing_but_doubled_braces(text: str) -> None:
    found = list(placeholders(text))
    assert [piece.text for piece in pieces_of(text) if piece.is_placeholder] == [one.name for one in found]
    for name, start, end in found:
        assert text[start:end] == "{" + name + "}"
    whole = "".join(
        "{" + piece.text + "}" if piece.is_placeholder else piece.text for piece in pieces_of(text)
    )
    assert len(whole) <= len(text)
    assert whole.replace("{", "").replace("}", "") == text.replace("{", "").replace("}", "")


def test_a_placeholder_is_found_where_it_stands() -> None:
    assert list(placeholders("{{{a}}} {b}")) == [Placeholder("a", 2, 5), Placeholder("b", 8, 11)]
