"""The scanner of Redis replies: any bytes, cut anywhere."""

import tracemalloc

import hiredis
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.protocols import resp, state
from tests.protocols.reply_trees import (
    DESCRIBED,
    PUSHES,
    TREES,
    Scanner,
    aggregate,
    bulk,
    line,
    pieces,
    read_classes,
    scan_all,
)

PLAIN, ERROR, NULL, PUSH = state.PLAIN_REPLY, state.ERROR_REPLY, state.NULL_REPLY, state.PUSH_REPLY

pytestmark = pytest.mark.timeout(300)

CUTS = st.lists(st.integers(0, 10_000), max_size=30)
EVERYTHING = (
    b"+OK\r\n-ERR no\r\n:42\r\n$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n_\r\n"
    b"#t\r\n,3.14\r\n(12345678901234567890\r\n"
    b"!9\r\nSYNTAX no\r\n=7\r\ntxt:abc\r\n%1\r\n+a\r\n*2\r\n:1\r\n$1\r\n\r\r\n~2\r\n+x\r\n_\r\n"
    b">2\r\n+message\r\n-odd\r\n"
    b"|1\r\n+ttl\r\n:3\r\n$2\r\n\r\n\r\n|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n+d\r\n-ERR after attributes\r\n"
    b"|1\r\n+a\r\n+b\r\n$-1\r\n"
    b"*2\r\n|1\r\n+a\r\n+b\r\n+c\r\n*1\r\n-ERR inside\r\n"
)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"+OK\r\n", PLAIN),
        (b"+\r\n", PLAIN),
        (b"-ERR wrong\r\n", ERROR),
        (b":-7\r\n", PLAIN),
        (b"$3\r\nabc\r\n", PLAIN),
        (b"$0\r\n\r\n", PLAIN),
        (b"$-1\r\n", NULL),
        (b"*-1\r\n", NULL),
        (b"_\r\n", NULL),
        (b"*0\r\n", PLAIN),
        (b"%0\r\n", PLAIN),
        (b"~0\r\n", PLAIN),
        (b"#f\r\n", PLAIN),
        (b",-inf\r\n", PLAIN),
        (b"(123\r\n", PLAIN),
        (b"!5\r\nERR x\r\n", ERROR),
        (b"=7\r\ntxt:abc\r\n", PLAIN),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", PLAIN),
        (b"~1\r\n$1\r\na\r\n", PLAIN),
        (b">2\r\n+message\r\n+x\r\n", PUSH),
        (b">2\r\n+message\r\n-x\r\n", PUSH),
        (b"*1\r\n*1\r\n*1\r\n*0\r\n", PLAIN),
        (b"*1\r\n_\r\n", PLAIN),
        (b"*1\r\n$-1\r\n", PLAIN),
        (b"*1\r\n*-1\r\n", PLAIN),
        (b"*2\r\n+a\r\n*1\r\n-ERR deep\r\n", ERROR),
        (b"|1\r\n+a\r\n+b\r\n+OK\r\n", PLAIN),
        (b"|0\r\n+OK\r\n", PLAIN),
        (b"|1\r\n+a\r\n+b\r\n-ERR x\r\n", ERROR),
        (b"|1\r\n+a\r\n+b\r\n_\r\n", NULL),
        (b"|1\r\n+a\r\n_\r\n+OK\r\n", PLAIN),
        (b"|1\r\n+a\r\n$-1\r\n+OK\r\n", PLAIN),
        (b"|1\r\n+a\r\n+b\r\n$-1\r\n", NULL),
        (b"|1\r\n+a\r\n+b\r\n*-1\r\n", NULL),
        (b"|1\r\n+a\r\n+b\r\n>1\r\n+x\r\n", PUSH),
        (b"|1\r\n+a\r\n+b\r\n|1\r\n+c\r\n+d\r\n*1\r\n+x\r\n", PLAIN),
    ],
)
def test_every_type_is_one_reply_of_its_class(reply: bytes, expected: int) -> None:
    scanner = scan_all(reply)
    assert scanner.classes == [expected]
    assert scanner.is_between_replies
    for size in range(len(reply)):
        short = scan_all(reply[:size])
        assert short.classes == []
        assert not short.is_broken


def test_a_cut_at_any_place_changes_nothing() -> None:
    whole = scan_all(EVERYTHING)
    assert whole.classes == read_classes(EVERYTHING)
    for cut in range(len(EVERYTHING) + 1):
        halves = scan_all(EVERYTHING, [cut])
        assert (halves.classes, halves.texts) == (whole.classes, whole.texts)
    single = scan_all(EVERYTHING, list(range(len(EVERYTHING))))
    assert (single.classes, single.texts) == (whole.classes, whole.texts)
    assert single.is_between_replies


@settings(max_examples=200, deadline=None)
@given(st.lists(DESCRIBED, min_size=1, max_size=6).map(b"".join), CUTS)
def test_random_replies_are_read_as_by_a_recursive_reader(data: bytes, cuts: list[int]) -> None:
    scanner = scan_all(data, cuts)
    assert not scanner.is_broken
    assert scanner.classes == read_classes(data)
    assert scanner.is_between_replies


@settings(max_examples=60, deadline=None)
@given(DESCRIBED)
def test_a_random_reply_may_be_split_at_every_place(data: bytes) -> None:
    expected = read_classes(data)
    for cut in range(len(data) + 1):
        assert scan_all(data, [cut]).classes == expected


def hiredis_class(reply: object) -> int:
    def has_error(value: object) -> bool:
        if isinstance(value, dict):
            return any(has_error(v) for v in value.values())
        if isinstance(value, list | set):
            return any(has_error(v) for v in value)
        return isinstance(value, hiredis.ReplyError)

    if isinstance(reply, hiredis.PushNotification):
        return PUSH
    if has_error(reply):
        return ERROR
    return NULL if reply is None else PLAIN


@settings(max_examples=200, deadline=None)
@given(st.lists(TREES | PUSHES, min_size=1, max_size=6), CUTS)
def test_random_replies_are_read_as_by_hiredis(replies: list[bytes], cuts: list[int]) -> None:
    """Without attributes and bulk errors, which hiredis does not know."""
    data = b"".join(replies)
    nothing = object()
    reader = hiredis.Reader(notEnoughData=nothing)
    found = []
    for piece in pieces(data, cuts):
        reader.feed(piece)
        while (reply := reader.gets()) is not nothing:
            found.append(hiredis_class(reply))
    assert scan_all(data, cuts).classes == found


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), CUTS)
@example(b"*99999999999999999999999\r\n", [])
@example(b"*4294967296\r\n" * 50, [])
@example(b"%4294967295\r\n" * 50, [])
@example(b"$\r\n", [])
@example(b"$-2\r\n", [])
@example(b"$--1\r\n", [])
@example(b"$1-\r\n", [])
@example(b"$1\r\nab\r\n", [])
@example(b"+a\nb\r\n", [])
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n", [])
def test_garbage_neither_raises_nor_loops(data: bytes, cuts: list[int]) -> None:
    whole = scan_all(data)
    cut = scan_all(data, cuts)
    assert (whole.classes, whole.is_broken) == (cut.classes, cut.is_broken)


@settings(max_examples=100, deadline=None)
@given(st.lists(DESCRIBED, min_size=1, max_size=4).map(b"".join), st.data())
def test_a_spoiled_byte_neither_raises_nor_loops(data: bytes, choice: st.DataObject) -> None:
    at = choice.draw(st.integers(0, len(data) - 1))
    scan_all(data[:at] + bytes([choice.draw(st.integers(0, 255))]) + data[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"\x00",
        b"\r\n",
        b"*2\r\n+a\r\nb\r\n",
        b"$3\r\nabcd\r\n",
        b"$3\r\nabc\rx",
        b"$x\r\n",
        b"$3\rx",
        b"*?\r\n",
        b"$?\r\n",
        b"$-2\r\n",
        b"*1000000000000000000\r\n",
        b"%100000000000000000\r\n",
        b"*99999999999999999999\r\n",
        b"+a\rb\r\n",
        b"+a\n",
    ],
)
def test_what_is_no_reply_is_called_broken(data: bytes) -> None:
    scanner = scan_all(data)
    assert scanner.is_broken
    assert scanner.classes == []


def test_deep_nesting_needs_no_stack() -> None:
    assert scan_all(b"*1\r\n" * 100_000 + b":1\r\n").classes == [PLAIN]


def test_a_huge_bulk_streams_through_without_memory() -> None:
    piece, count = b"x" * 262_144, 1024
    scanner = Scanner(text_element=0)
    scanner.feed(b"$%d\r\n" % (len(piece) * count))
    tracemalloc.start()
    for _ in range(count):
        scanner.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scanner.classes == []
    scanner.feed(b"\r\n+next\r\n")
    assert scanner.classes == [PLAIN, PLAIN]
    assert scanner.texts == [b"x" * state.TEXT_BYTES, b""]
    assert peak < len(piece)


@pytest.mark.parametrize("cut", range(30))
def test_the_head_of_an_error_line_is_kept(cut: int) -> None:
    text = b"WRONGTYPE " + b"y" * 200
    scanner = scan_all(line(b"-", text) + bulk(b"!", text) + line(b"-", b""), [cut])
    assert scanner.texts == [text[: state.TEXT_BYTES], text[: state.TEXT_BYTES], b""]
    assert scanner.classes == [ERROR] * 3


def test_of_several_errors_in_one_reply_the_first_is_kept() -> None:
    reply = aggregate(b"*", [line(b"-", b"ERR one"), line(b"-", b"ERR two"), bulk(b"!", b"ERR three")])
    assert scan_all(reply).texts == [b"ERR one"]


def test_an_error_behind_attributes_keeps_its_own_text() -> None:
    reply = aggregate(b"|", [line(b"+", b"key"), bulk(b"$", b"value")]) + line(b"-", b"ERR x")
    assert scan_all(reply).texts == [b"ERR x"]


@pytest.mark.parametrize("kind", [b"*", b">"])
@pytest.mark.parametrize("before", [b"", aggregate(b"|", [line(b"+", b"key"), bulk(b"$", b"value")])])
def test_the_payload_of_a_message_is_found_by_its_place(kind: bytes, before: bytes) -> None:
    payload = b"0123456789" * 20
    message = before + aggregate(kind, [bulk(b"$", b"message"), bulk(b"$", b"channel"), bulk(b"$", payload)])
    for cut in range(len(message)):
        assert scan_all(message, [cut], text_element=2).texts == [payload[: state.TEXT_BYTES]]


def test_the_confirmation_of_a_subscription_has_no_payload() -> None:
    confirmation = aggregate(b"*", [bulk(b"$", b"subscribe"), bulk(b"$", b"channel"), line(b":", b"1")])
    assert scan_all(confirmation, text_element=2).texts == [b""]


def test_a_reset_state_is_all_zero() -> None:
    row = np.arange(state.STATE_COLUMNS, dtype=np.int64)
    state.reset(row)
    assert not row.any()


@pytest.mark.parametrize(
    ("reply", "hits", "misses"),
    [
        (b"$-1\r\n", 0, 1),
        (b"*-1\r\n", 0, 1),
        (b"_\r\n", 0, 1),
        (b"*0\r\n", 0, 0),
        (b"%0\r\n", 0, 0),
        (b"$0\r\n\r\n", 1, 0),
        (b":0\r\n", 1, 0),
        (b"*3\r\n$1\r\na\r\n$-1\r\n_\r\n", 1, 2),
        (b"%1\r\n+a\r\n*2\r\n:1\r\n$-1\r\n", 2, 1),
        (b"|1\r\n+ttl\r\n:3\r\n$-1\r\n", 0, 1),
    ],
)
@pytest.mark.parametrize("piece", [1, 5, 100])
def test_values_and_nulls_of_a_reply_are_counted(reply: bytes, hits: int, misses: int, piece: int) -> None:
    row, text = np.zeros(state.STATE_COLUMNS, dtype=np.int64), np.zeros(state.TEXT_BYTES, dtype=np.uint8)
    for start in range(0, len(reply), piece):
        data = np.frombuffer(reply[start : start + piece], dtype=np.uint8)
        assert resp.scan(row, data, 0, len(data), text, -1) == len(data)
    assert row[state.RESULT] == state.COMPLETE
    assert (int(row[state.HITS]), int(row[state.MISSES])) == (hits, misses)
