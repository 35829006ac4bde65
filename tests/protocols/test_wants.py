"""What is captured and expected of answers, against Python's json, whatever the pieces of the bytes are."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan.program import Want, WantsWriter
from bench.protocols.wants import search, state
from bench.protocols.wants.state import BETWEEN, CELL_BYTES, HEADER, JSON
from bench.scenario.operations import path_steps
from tests.protocols.scanning import pieces

CLASSES = {str: state.TEXT, int: state.NUMBER, float: state.NUMBER, type(None): state.NULL}
ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def want(path: str, **more: Any) -> Want:
    steps = tuple(step.encode() if isinstance(step, str) else step for step in path_steps(path))
    return Want(JSON, steps, path, **more)


class Looked:
    """Some wants, looked for in an answer that comes in pieces."""

    def __init__(self, *wants: Want) -> None:
        writer = WantsWriter(0)
        writer.add(wants)
        tables = writer.tables()
        self.search = state.Search(
            tables.wants,
            tables.parts,
            tables.texts,
            tables.links,
            np.zeros(state.PROGRESS_COLUMNS, dtype=np.int64),
            np.zeros((tables.cells, state.CELL_ROOM), dtype=np.uint8),
            np.zeros((tables.cells, 2), dtype=np.int64),
        )
        search.begin_search(self.search)

    def body(self, data: bytes, cuts: list[int]) -> "Looked":
        for piece in pieces(data, cuts):
            search.look_in_body(
                self.search, np.frombuffer(b"<" + piece + b">", dtype=np.uint8), 1, len(piece) + 1
            )
        return self

    def head(self, data: bytes, cuts: list[int]) -> "Looked":
        for piece in pieces(data, cuts):
            search.look_in_head(
                self.search, np.frombuffer(b"<" + piece + b">", dtype=np.uint8), 1, len(piece) + 1
            )
        return self

    @property
    def unmet(self) -> int:
        return int(search.settle(self.search))

    def value(self, number: int = 0) -> tuple[int, bytes]:
        kind, size = (int(fact) for fact in self.search.facts[number])
        return kind, self.search.cells[number, :size].tobytes()


def found_by_python(data: bytes, path: str) -> tuple[int, bytes] | None:
    """Class and text of what stands at a path; None where nothing stands there, or no JSON."""
    try:
        value = json.loads(data, parse_int=Written, parse_float=Written, parse_constant=_refused)
    except (ValueError, KeyError):
        return None
    for step in path_steps(path):
        try:
            value = (
                value[step] if isinstance(value, dict if isinstance(step, str) else list) else _refused("")
            )
        except LookupError:
            return None
    match value:
        case Written():
            return state.NUMBER, str(value).encode()
        case str():
            return state.TEXT, value.encode()
        case True | False | None:
            return {True: state.TRUE, False: state.FALSE, None: state.NULL}[value], ENCODE(value).encode()
    return state.COMPOSITE, b""


class Written(str):
    """A number as it was written."""


def _refused(name: str) -> None:
    raise KeyError(name)


NAMES = st.sampled_from(["a", "b", "ab", "id", "ü", 'q"x', "a\\b", ""])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from([".a", ".b", ".ab", ".id", ".ü", "[0]", "[1]", "[2]"]), max_size=4).map(
    lambda steps: "$" + "".join(steps)
)
CUTS = st.lists(st.integers(0, 10_000), max_size=5)


@settings(max_examples=400)
@given(VALUES, PATHS, PATHS, CUTS, st.booleans(), st.sampled_from([None, 1]))
def test_a_path_finds_what_pythons_json_finds(
    value: Any, path: str, other: str, cuts: list[int], is_ascii: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    looked = Looked(want(path), want(other)).body(data, cuts)
    looked.unmet  # noqa: B018 - settles
    for number, wanted in enumerate((path, other)):
        expected = found_by_python(data, wanted)
        assert looked.value(number) == (expected or (state.NO_VALUE, looked.value(number)[1]))


def test_a_body_may_be_cut_anywhere() -> None:
    data = (
        '{"x": [1, {"id": "é\\u00e9\\ud83d\\ude00\\n", "n": -1.5e+3}, [[]]], "id": null, "y": true}'.encode()
    )
    wants = (want("$.x[1].id"), want("$.x[1].n"), want("$.y"))
    for cut in range(len(data)):
        for other in range(cut, len(data), 7):
            looked = Looked(*wants).body(data, [cut, other])
            assert looked.unmet == -1
            assert [looked.value(number) for number in range(3)] == [
                (state.TEXT, "éé😀\n".encode()),
                (state.NUMBER, b"-1.5e+3"),
                (state.TRUE, b"true"),
            ]


def test_in_what_is_no_json_nothing_is_found() -> None:
    """Also where only what comes behind the value spoils it."""
    chance = random.Random(7)
    whole = b'{"id": "abc", "list": [1, 2.5, -0.0e1, true, false, null, {"a": {}}], "s": "x\\u0041\\n"}'
    paths = ("$.id", "$.list[1]", "$.s")
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(2)] = bytes([chance.choice(b'{}[],:"\\0123eE+-.tfnu x\x01')])
        for path in paths:
            looked = Looked(want(path)).body(bytes(data), [chance.randrange(len(data))])
            expected = found_by_python(bytes(data), path)
            assert (looked.unmet == -1) is (expected is not None and expected[0] < state.NULL), bytes(data)
            if looked.unmet == -1:
                assert looked.value() == expected


@pytest.mark.parametrize(
    ("body", "expected", "is_met"),
    [
        (b'{"n": 1}', 1, True),
        (b'{"n": 1.0}', 1, True),
        (b'{"n": 10e-1}', 1, True),
        (b'{"n": 1.01}', 1, False),
        (b'{"n": "1"}', 1, False),
        (b'{"n": 9.50}', 9.5, True),
        (b'{"n": -0.05E2}', -5, True),
        (b'{"n": -0}', 0, True),
        (b'{"n": 1234567890123456789012}', 1234567890123456789012, True),
        (b'{"n": 1234567890123456789013}', 1234567890123456789012, False),
        (b'{"n": "a\\u0062"}', "ab", True),
        (b'{"n": "abc"}', "ab", False),
        (b'{"n": true}', True, True),
        (b'{"n": false}', True, False),
        (b'{"n": null}', None, True),
        (b'{"n": []}', None, False),
        (b"{}", None, False),
        (b'{"n": null', None, False),
    ],
)
def test_a_value_is_compared_as_what_it_means(body: bytes, expected: Any, is_met: bool) -> None:
    kind = (
        {True: state.TRUE, False: state.FALSE}[expected]
        if isinstance(expected, bool)
        else CLASSES[type(expected)]
    )
    value = expected.encode() if isinstance(expected, str) else ENCODE(expected).encode()
    assert (Looked(want("$.n", expected=kind, value=value)).body(body, []).unmet == -1) is is_met


def test_a_value_that_does_not_fit_is_too_long_and_not_cut() -> None:
    for size, kind in ((CELL_BYTES, state.TEXT), (CELL_BYTES + 1, state.TOO_LONG)):
        text = b"x" * size
        looked = Looked(want("$"), Want(BETWEEN, (b"<", b"/>"), "")).body(b'"%b"' % text, [])
        assert looked.unmet == (0 if kind == state.TOO_LONG else 1)
        looked = Looked(Want(BETWEEN, (b"(", b"))"), "")).body(b"((%b))" % text[1:], [size // 2])
        looked.unmet  # noqa: B018 - settles
        assert looked.value()[0] == kind


@given(
    st.text("ab<", max_size=30),
    st.sampled_from(["a", "ab", "aab", "aa<"]),
    st.sampled_from(["b", "<", "ba"]),
    CUTS,
)
def test_a_text_between_marks_is_that_at_their_first_place(
    body: str, after: str, before: str, cuts: list[int]
) -> None:
    looked = Looked(Want(BETWEEN, (after.encode(), before.encode()), "")).body(body.encode(), cuts)
    begin = body.find(after)
    end = body.find(before, begin + len(after)) if begin >= 0 else -1
    expected = body[begin + len(after) : end].encode() if end >= 0 else b""
    assert looked.unmet == (-1 if expected else 0)
    if expected:
        assert looked.value() == (state.TEXT, expected)


HEAD = (
    b"HTTP/1.1 201 Created\r\nX-A:  one two \t\r\nLOCATION: /carts/7\r\nx-a: again\r\n"
    b"X-Folded: a\r\n b\r\nX-None:\r\n\r\n"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-a", b"one two"),
        (b"location", b"/carts/7"),
        (b"x-folded", b"a"),
        (b"x-none", b""),
        (b"x", b""),
        (b"x-aa", b""),
    ],
)
def test_of_headers_of_one_name_the_first_line_counts(name: bytes, value: bytes) -> None:
    for cut in range(len(HEAD)):
        looked = Looked(Want(HEADER, (name,), "")).head(HEAD, [cut])
        assert looked.unmet == (-1 if value else 0)
        if value:
            assert looked.value() == (state.TEXT, value)


def test_what_goes_into_a_header_must_be_printable() -> None:
    for text, is_met in ((b'"abc"', True), (b'"a\\r\\nX: y"', False), ('"ä"'.encode(), False)):
        assert (Looked(want("$", is_printable=True)).body(text, []).unmet == -1) is is_met


COOKIES = (
    b"HTTP/1.1 200 OK\r\nSet-Cookie: theme=dark\r\nSet-Cookie: id=; Path=/\r\n"
    b"set-cookie: lang=en; sid=s-1; Path=/\r\nSet-Cookie:  sid=s-2;\r\nX-Sid: sid=no;\r\n\r\n"
)


@pytest.mark.parametrize(
    ("marks", "value"),
    [
        ((b"sid=", b";"), b"s-1"),
        ((b"sid=",), b"s-1; Path=/"),
        ((b"theme=",), b"dark"),
        ((b"theme=", b";"), b""),
        ((b"lang", b"lang"), b""),
        ((b"id=", b"; P"), b""),
        ((b"nothing=", b";"), b""),
    ],
)
def test_a_part_of_a_header_is_that_between_marks_in_the_first_that_has_them(
    marks: tuple[bytes, ...], value: bytes
) -> None:
    for cut in range(len(COOKIES)):
        looked = Looked(Want(HEADER, (b"set-cookie", *marks), "")).head(COOKIES, [cut])
        assert looked.unmet == (-1 if value else 0)
        if value:
            assert looked.value() == (state.TEXT, value)
