"""The scanner of HTTP responses: any bytes, cut anywhere."""

import pytest

from bench.protocols import state
from bench.protocols.http import scanner as http
from tests.protocols.http_messages import (
    CHUNKED,
    NEEDLE,
    OK,
    RECORDED,
    UNTIL_CLOSE,
    everywhere,
    replies_of,
    reply,
    with_headers,
)
from tests.protocols.scanning import http_feed

pytestmark = pytest.mark.timeout(300)


def is_broken(data: bytes, step: int = 1) -> bool:
    outcomes = [http_feed().feed_all(data, cuts).outcome for cuts in ([], range(0, len(data), step))]
    assert outcomes[0] == outcomes[1]
    return bool(outcomes[0][1])


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_response_is_one_reply_wherever_it_is_cut(name: str) -> None:
    data, expected = RECORDED[name]
    everywhere(data, [expected], NEEDLE)
    for cut in range(len(data)):
        short = http_feed().feed_all(data[:cut], [])
        assert (short.replies, short.is_broken) == ([], False)
        assert not http.at_eof(short.state)


def test_a_dialogue_cut_at_any_place_is_the_same_dialogue() -> None:
    dialogue = b"".join(data for data, _ in RECORDED.values())
    everywhere(dialogue, [expected for _, expected in RECORDED.values()], NEEDLE)


def test_a_response_that_ends_by_closing_is_complete_when_the_connection_ends() -> None:
    for cut in range(len(UNTIL_CLOSE)):
        feed = http_feed(b"received").feed_all(UNTIL_CLOSE, [cut])
        assert (feed.replies, feed.is_broken) == ([], False)
        assert http.at_eof(feed.state)
        text, _, code, ends, until_close, found, result = feed.present
        assert (text, code, ends, until_close, found) == ("400 Bad Request", 400, 1, 1, 1)
        assert result == state.MORE


def test_the_end_of_the_connection_cuts_what_is_not_until_close() -> None:
    body_begins = UNTIL_CLOSE.index(b"\r\n\r\n") + 4
    for size in range(len(UNTIL_CLOSE)):
        feed = http_feed().feed_all(UNTIL_CLOSE[:size], [])
        assert http.at_eof(feed.state) == (size >= body_begins)
    for size in range(len(CHUNKED) + 8):
        feed = http_feed().feed_all((CHUNKED + b"3\r\nabc\r\n0\r\n")[:size], [])
        assert not http.at_eof(feed.state)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"HTTP/1.1 200 OK\r\n", "200 OK"),
        (b"HTTP/1.1 200 \r\n", "200"),
        (b"HTTP/1.1 200\r\n", "200"),
        (b"HTTP/1.1 200\n", "200"),
        (b"HTTP/1.1 999 " + b"y" * 200 + b"\n", "999 " + "y" * (state.TEXT_BYTES - 4)),
        (b"HTTP/1.1 404 Nicht gef\xfcnden: \xe4\r\n", "404 Nicht gef\xfcnden: \xe4"),
    ],
)
def test_status_and_reason_are_kept(line: bytes, text: str) -> None:
    everywhere(line + b"Content-Length: 0\r\n\r\n", [reply(text)])


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 2x0 OK\r\n",
        b"HTTP/1.1\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/0.9 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"+OK\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16",
    ],
)
def test_what_is_no_status_line_is_broken(line: bytes) -> None:
    assert is_broken(line + b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 3",
        b"content-length:3",
        b"CONTENT-LENGTH:\t 3 \t",
        b"cOnTeNt-LeNgTh: 003",
        b"Content-Length : 3",
        b"Content-Length:\r\n 3",
        b"Content-Length: 3\r\n ",
        b"Content-Length: 3, 3",
        b"Content-Length: 3,\r\n\t3",
        b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: 3\r\nX: y\r\ncontent-length: 03",
        b"Content-Length-Hint: 9\r\nContent-Length: 3\r\nContent-Lengt: 9\r\nXContent-Length: 9",
        b"Connections: 9\r\nContent-\r\nCon\r\nC\r\n: 9\r\nContent-Length: 3",
        b"X-Folded: a\r\n Content-Length: 9\r\nContent-Length: 3",
        b" Content-Length: 9\r\nContent-Length: 3",
        b"Content-Length: 3\r\nContent-Length\r\nTransfer-Encoding\r\nT",
        b"X: " + b"y" * 3_000 + b"\r\nContent-Length: 3",
        b"X" * 3_000 + b": y\r\nContent-Length: 3",
        b"Content-Length: " + b" " * 3_000 + b"3",
        b"Content-Length: 3\r\nTransfer-Encoding:",
    ],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_a_content_length_is_found_however_it_is_written(header: bytes, line_end: bytes) -> None:
    data = with_headers(header, b"ETag: x", body=b"abc").replace(b"\r\n", line_end)
    expected = [reply("200 OK", found=1)]
    assert replies_of(data, [], b"abc") == expected
    assert replies_of(data, list(range(len(data))), b"abc") == expected
    for cut in range(0, len(data), 1 + len(data) // 300):
        assert replies_of(data + data, [cut], b"abc") == expected * 2


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: 3, 4",
        b"Content-Length: 3,",
        b"Content-Length: ,3",
        b"Content-Length:",
        b"Content-Length: three",
        b"Content-Length: -3",
        b"Content-Length: +3",
        b"Content-Length: 3 3",
        b"Content-Length: 3\r\n 3",
        b"Content-Length: 0x3",
        b"Content-Length: 3.0",
        b"Content-Length: 1099511627777",
        b"Content-Length: " + b"9" * 40,
        b"Content-Length: \x003",
    ],
)
def test_a_content_length_that_is_no_single_number_is_broken(header: bytes) -> None:
    assert is_broken(with_headers(header, body=b"abcd"))


def test_the_largest_content_length_is_still_awaited() -> None:
    feed = http_feed().feed_all(with_headers(b"Content-Length: 1099511627776"), [])
    assert (feed.replies, feed.is_broken) == ([], False)


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"transfer-encoding:CHUNKED",
        b"TRANSFER-ENCODING: gzip, Chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: ,chunked , ,",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding: gzip,\r\n\tchunked\r\n ",
        b"Transfer-Encoding: chunked\r\nContent-Length: 9999",
        b"Content-Length: 9999\r\nTransfer-Encoding: chunked",
    ],
)
def test_chunked_as_the_last_coding_decides_the_length(header: bytes) -> None:
    data = with_headers(header, body=b"4\r\nhell\r\n1\r\no\r\n0\r\n\r\n")
    everywhere(data + data, [reply("200 OK", found=1)] * 2, b"hello")


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
        b"Transfer-Encoding: chunke",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: chunked x",
        b"Transfer-Encoding: chun\r\n ked",
        b"Transfer-Encoding: chunked\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"Transfer-Encoding: keep-alive",
        b"Transfer-Encoding: identity\r\nContent-Length: 0",
        b"X-Transfer-Encoding: chunked",
    ],
)
def test_another_last_coding_lets_the_body_end_with_the_connection(header: bytes) -> None:
    data = with_headers(header, body=b"0\r\n\r\n")
    for cuts in ([], list(range(len(data)))):
        feed = http_feed().feed_all(data, cuts)
        assert (feed.replies, feed.is_broken) == ([], False)
        assert http.at_eof(feed.state)
        assert feed.present[3] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\n\r\n",
        b"000000000000000\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0 ;last\r\n\r\n",
        b'00005;name=value;other="a;b"\r\nhello\r\n0\r\n\r\n',
        b"5\nhello\r\n0\n\n",
        b"A\r\n0123456789\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\na\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Check: abc\r\nContent-Length: x\r\n folded\r\n\r\n",
        b"5;" + b"x" * 3_000 + b"\r\nhello\r\n0\r\nX: " + b"y" * 3_000 + b"\r\n\r\n",
    ],
)
def test_chunks_are_followed_to_the_last(body: bytes) -> None:
    data = CHUNKED + body
    expected = [reply("200 OK")]
    assert replies_of(data) == expected
    assert replies_of(data, list(range(len(data)))) == expected
    for cut in range(0, len(data), 1 + len(data) // 400):
        assert replies_of(data + data, [cut]) == expected * 2


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"x\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b";name\r\n",
        b" 5\r\nhello\r\n",
        b"5\rhello\r\n",
        b"5hello\r\n",
        b"1000000000000000\r\n",
        b"0000000000000005\r\nhello\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello world\r\n",
        b"0\r\n\rx",
    ],
)
def test_a_chunk_with_wrong_borders_is_broken(body: bytes) -> None:
    assert is_broken(CHUNKED + body)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("header", [b"X: y", b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_some_statuses_never_have_a_body(status: bytes, header: bytes) -> None:
    data = b"HTTP/1.1 " + status + b"\r\n" + header + b"\r\n\r\n"
    everywhere(data + data, [reply(status.decode())] * 2)


@pytest.mark.parametrize("header", [b"X: y", b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_the_answer_to_head_has_no_body(header: bytes) -> None:
    everywhere(with_headers(header) * 2, [reply("200 OK")] * 2, is_head=True)


def test_interim_responses_are_read_over_and_leave_nothing() -> None:
    interim = (
        b"HTTP/1.1 100 Continue\r\nConnection: close\r\nContent-Length: 7\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"HTTP/1.0 102 P\r\n\r\n"
    )
    everywhere(interim + with_headers(b"Content-Length: 3", body=b"abc"), [reply("200 OK", found=1)], b"abc")


def test_a_switch_of_protocols_is_broken() -> None:
    assert is_broken(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")


@pytest.mark.parametrize(
    ("version", "header", "ends"),
    [
        (b"1.1", b"X: y", 0),
        (b"1.1", b"Connection: close", 1),
        (b"1.1", b"connection:CLOSE", 1),
        (b"1.1", b"Connection: keep-alive, close", 1),
        (b"1.1", b"Connection: close, keep-alive", 1),
        (b"1.1", b"Connection: upgrade\r\nConnection: close", 1),
        (b"1.1", b"Connection: x,\r\n close", 1),
        (b"1.1", b"Connection: keep-alive", 0),
        (b"1.1", b"Connection: closed", 0),
        (b"1.1", b"Connection: clos", 0),
        (b"1.1", b"Connection: clos e", 0),
        (b"1.1", b"Connection: close\0", 0),
        (b"1.1", b"Connection: close" + b"\0" * 40, 0),
        (b"1.1", b"Connection: disclose", 0),
        (b"1.1", b"Proxy-Connection: close", 0),
        (b"1.1", b"Connection:", 0),
        (b"1.0", b"X: y", 1),
        (b"1.0", b"Connection: Keep-Alive", 0),
        (b"1.0", b"Connection: keep-alive, x", 0),
        (b"1.0", b"Connection: keep-alive, close", 1),
        (b"1.0", b"Connection: keep-alived", 1),
        (b"1.0", b"Connection: keep_alive", 1),
    ],
)
def test_whether_the_server_closes_is_told(version: bytes, header: bytes, ends: int) -> None:
    data = b"HTTP/" + version + b" 200 OK\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"
    everywhere(data, [reply("200 OK", ends=ends)])


def test_an_old_response_with_a_coding_is_the_last_of_its_connection() -> None:
    data = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    everywhere(data, [reply("200 OK", ends=1)])


def test_a_head_has_a_limit_and_so_have_chunk_lines_and_trailers() -> None:
    room = http.MAX_HEAD_BYTES
    after = b"\r\nContent-Length: 0\r\n\r\n"
    for start, end, expected in (
        (OK + b"X: ", after, "head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"X: ", after, "head after an interim one"),
        (CHUNKED + b"5;", b"\r\nhello\r\n0\r\n\r\n", "chunk line"),
        (CHUNKED + b"0\r\nX: ", b"\r\n\r\n", "trailer"),
    ):
        in_limit = {
            "head": len(start) + len(end),
            "head after an interim one": len(start) + len(end),
            "chunk line": 4,
            "trailer": 3 + 4,
        }[expected]
        fits = start + b"y" * (room - in_limit) + end
        assert replies_of(fits) == replies_of(fits, [len(fits) // 2, len(fits) - 2]) == [reply("200 OK")]
        large = start + b"y" * (room - in_limit + 1) + end
        whole = http_feed().feed_all(large, []).outcome
        assert whole[:2] == ([], True), expected
        assert http_feed().feed_all(large, range(0, len(large), 10_007)).outcome == whole
    assert is_broken(b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, step=997)


def test_many_small_chunks_are_no_large_head() -> None:
    assert replies_of(CHUNKED + b"1;name\r\nx\r\n" * 200_000 + b"0\r\n\r\n") == [reply("200 OK")]
