"""Random, spoiled and huge HTTP responses: the scanner against other readers and against itself."""

import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.jit import PLAIN
from bench.protocols import state
from bench.protocols.http import scanner as http
from tests.protocols.http_messages import (
    CHUNKED,
    OK,
    RECORDED,
    UNTIL_CLOSE,
    Reply,
    Response,
    read_response,
    replies_of,
    reply,
    responses,
    with_headers,
)
from tests.protocols.scanning import Feed, http_feed, plain_outcomes, spoiled_cases

pytestmark = pytest.mark.timeout(300)

CUTS = st.lists(st.integers(0, 10_000), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.lists(responses(needle=b"aab", may_end=False), min_size=1, max_size=4), CUTS)
def test_random_responses_are_read_as_they_were_made(made: list[Response], cuts: list[int]) -> None:
    data = b"".join(response.data for response in made)
    assert replies_of(data, cuts, b"aab") == [response.reply for response in made]


@settings(max_examples=40, deadline=None)
@given(responses(needle=b"aab", may_end=False))
def test_a_random_response_may_be_split_at_every_place(made: Response) -> None:
    for cut in range(len(made.data) + 1):
        assert replies_of(made.data, [cut], b"aab") == [made.reply]


def finished(feed: Feed) -> list[Reply]:
    """The replies of a feed whose connection ended now."""
    found = [Reply(*one) for one in feed.replies]
    if http.at_eof(feed.state):
        found.append(Reply(*feed.present)._replace(result=state.COMPLETE))
    return found


@settings(max_examples=300, deadline=None)
@given(responses(), CUTS, st.binary(max_size=20))
def test_random_responses_are_read_as_by_http_client(
    made: Response, cuts: list[int], following: bytes
) -> None:
    follows = following if not made.reply.until_close else b""
    status, reason, body, closes, used = read_response(made.data + follows)
    assert used == len(made.data)
    assert body == made.body
    feed = http_feed(body).feed_all(made.data, cuts)
    text = f"{status} {reason}".strip()[: state.TEXT_BYTES]
    assert finished(feed) == [reply(text, int(closes), made.reply.until_close, int(bool(body)))]


@settings(max_examples=200, deadline=None)
@given(responses(), CUTS)
def test_random_responses_are_read_as_by_h11(made: Response, cuts: list[int]) -> None:
    h11 = pytest.importorskip("h11")
    # It knows no extension with a blank before it.
    data = re.sub(rb" ; name", b";name", made.data)
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    reader.receive_data(b"")
    status, body = 0, b""
    while not isinstance(event := reader.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
    found = finished(http_feed(body).feed_all(data, cuts))
    assert [(one.code, one.found) for one in found] == [(status, int(bool(body)))]


def test_a_body_of_any_size_streams_through_without_memory() -> None:
    piece, count = b"x" * 262_144, 400
    feed = http_feed()
    feed.feed(with_headers(b"Content-Length: %d" % (len(piece) * count)))
    feed.feed(piece)  # compiled and warm
    tracemalloc.start()
    for _ in range(count - 1):
        feed.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert feed.replies == [reply("200 OK")]
    assert peak < 3 * len(piece)  # the piece that the test itself copies


@pytest.mark.parametrize("needle", [b"", b"ab", b"xxy"])
def test_a_reply_of_ten_megabytes_is_one_reply_in_any_pieces(needle: bytes) -> None:
    body = b"x" * (100_000 if PLAIN else 10_000_000) + b"y"
    plain = with_headers(b"Content-Length: %d" % len(body), body=body)
    chunks = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for data in (plain, chunks):
        for cuts in ([], list(range(0, len(data), 65_536)), [1, 13, len(data) // 2]):
            assert replies_of(data, cuts, needle) == [reply("200 OK", found=int(needle == b"xxy"))]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=100).map(lambda tail: OK + tail)
    | st.binary(max_size=100).map(lambda tail: CHUNKED + tail),
    CUTS,
)
@example(OK + b"Content-Length: 5, \n", [])
@example(CHUNKED + b"fffffffffffffff\r\n", [])
def test_garbage_gives_one_result_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = http_feed(b"aab").feed_all(data, []).outcome
    assert http_feed(b"aab", around=ord("\n")).feed_all(data, cuts).outcome == whole


@settings(max_examples=300, deadline=None)
@given(responses(), CUTS, st.data())
def test_a_spoiled_byte_gives_one_result_however_it_is_cut(
    made: Response, cuts: list[int], choice: st.DataObject
) -> None:
    at = choice.draw(st.integers(0, len(made.data) - 1))
    spoiled = made.data[:at] + bytes([choice.draw(st.integers(0, 255))]) + made.data[at + 1 :]
    whole = http_feed(b"aab").feed_all(spoiled, []).outcome
    assert http_feed(b"aab", around=ord("a")).feed_all(spoiled, cuts).outcome == whole


def test_compiled_and_plain_the_scanner_finds_the_same() -> None:
    messages = [data for data, _ in RECORDED.values()] + [
        UNTIL_CLOSE,
        CHUNKED + b"5;x\r\nhello\r\n2\r\naa\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n",
        with_headers(b"Connection: keep-alive, close", b"Content-Length: 3,\r\n 3", body=b"aab"),
    ]
    cases = spoiled_cases("http", messages, 400)
    found: list[Any] = [case.run() for case in cases]
    assert any(broken for _, broken, *_ in found)
    assert any(one[5] for replies, *_ in found for one in replies)
    assert plain_outcomes(cases) == [[list(map(list, r)), b, u, list(p)] for r, b, u, p in found]
