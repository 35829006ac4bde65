"""HTTP: what an answer is by RFC 9110 and 9112, and what is none."""

from __future__ import annotations

import gzip

from bench.protocols import state as why
from bench.protocols.http.state import ENCODED_BODY, MISSING
from tests.parity.cases import BROKEN_OFF, CLOSED, ERROR, OK, RESET, TIMEOUT, Case, Group, unreadable
from tests.parity.raw_servers import CLOSE, DROP, SILENCE, Answer
from tests.parity.raw_servers import RESET as RESETS

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PACKED = gzip.compress(b'{"status": "ok"}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = {"method": "HEAD"}
POST = {"method": "POST", "body": "{value}"}


def headed(*lines: bytes, body: bytes = b"ok") -> Answer:
    """A 200 with these header lines."""
    return Answer(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", body]))


READABLE = (
    Case("plain", Answer(FINE), OK),
    Case("header_of_9000_bytes", headed(b"X-Big: " + b"a" * 9000, b"Content-Length: 2"), OK),
    Case("two_hundred_headers", headed(*[b"X-%d: a" % n for n in range(200)], b"Content-Length: 2"), OK),
    Case("length_twice", headed(b"Content-Length: 2", b"Content-Length: 2"), OK),
    Case("length_as_a_list", headed(b"Content-Length: 2, 2"), OK),
    Case(
        "length_and_chunked",
        headed(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
        OK,
    ),
    Case("chunk_extension_and_trailer", Answer(CHUNKED + b"2;a=b\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"), OK),
    Case("lines_end_by_lf", Answer(FINE.replace(b"\r\n", b"\n")), OK),
    Case("control_character_in_a_header", headed(b"X: a\x01b", b"Content-Length: 2"), OK),
    Case("blank_before_the_colon", headed(b"X-Odd : a", b"Content-Length: 2"), OK),
    Case("folded_header", headed(b"X: a,", b" b", b"Content-Length: 2"), OK),
    Case("line_without_a_colon", headed(b"what is this", b"Content-Length: 2"), OK),
    Case("no_reason", Answer(FINE.replace(b" OK", b"")), OK),
    Case(
        "interim_answers",
        Answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n" + FINE),
        OK,
    ),
    Case("until_the_connection_ends", Answer(b"HTTP/1.1 200 OK\r\n\r\nok", CLOSE), OK),
    Case("http_1_0", Answer(b"HTTP/1.0 200 OK\r\n\r\nhi", CLOSE), OK),
    Case("closes_as_it_said", Answer(FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), CLOSE), OK),
    Case("gzip", headed(b"Content-Encoding: gzip", b"Content-Length: %d" % len(PACKED), body=PACKED), OK),
    Case("no_content", Answer(b"HTTP/1.1 204 No Content\r\n\r\n"), OK),
    Case(
        "not_modified_with_a_length", Answer(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n"), OK
    ),
    Case("head", Answer(FINE[:-2]), OK, operation=HEAD),
    Case("head_chunked", Answer(CHUNKED), OK, operation=HEAD),
    Case("other_coding", Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", CLOSE), OK),
)

MORE_THAN_AN_ANSWER = (
    Case("closes_without_a_word", Answer(FINE, CLOSE), OK),
    Case("head_with_a_body", Answer(FINE), OK, operation=HEAD),
    Case("no_content_with_a_body", Answer(b"HTTP/1.1 204 No Content\r\n\r\nok"), OK),
    Case(
        "no_content_with_chunks",
        Answer(b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        OK,
    ),
    Case("not_modified_with_a_body", Answer(b"HTTP/1.1 304 Not\r\nContent-Length: 2\r\n\r\nok"), OK),
    Case("two_answers", Answer(FINE + FINE), OK),
)

REFUSALS = (
    Case("status_500", Answer(FINE.replace(b"200 OK", b"500 Oh no")), ERROR, ("HTTP 500",)),
    Case("status_600", Answer(FINE.replace(b"200 OK", b"600 What")), ERROR, ("HTTP 600",)),
    Case("status_999", Answer(FINE.replace(b"200 OK", b"999 What")), ERROR, ("HTTP 999",)),
    *(
        Case(
            f"text_in_a_body_of_encoding_{number}",
            headed(*lines, b"Content-Length: %d" % len(PACKED), body=PACKED),
            ERROR,
            (words,),
            {"expect": {"contains": "ok"}},
        )
        for number, (lines, words) in enumerate(
            (
                ([b"Content-Encoding: gzip"], "gzip" + ENCODED_BODY),
                ([b"content-encoding:BR"], "br" + ENCODED_BODY),
                ([b"Content-Encoding: deflate, x-gzip-of-ours"], "x-gzip-o" + ENCODED_BODY),
                ([b"Content-Encoding: identity"], MISSING),
                ([b"Content-Encoding-Not: gzip", b"Content-E: gzip"], MISSING),
            )
        )
    ),
    Case(
        "text_missing",
        Answer(FINE),
        ERROR,
        ("the body lacks the expected text",),
        {"expect": {"contains": "fine"}},
    ),
    Case(
        "text_over_two_chunks",
        Answer(CHUNKED + b"2\r\nfi\r\n3\r\nne.\r\n0\r\n\r\n"),
        OK,
        operation={"expect": {"contains": "fine"}},
    ),
)

EARLY = (
    Case(
        "too_large_and_gone",
        Answer(
            b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            RESETS,
            is_early=True,
        ),
        ERROR,
        ("HTTP 413",),
        POST,
    ),
    Case(
        "too_large_and_gone_without_a_word",
        Answer(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n", DROP, is_early=True),
        ERROR,
        ("HTTP 413",),
        POST,
    ),
)

UNREADABLE = (
    Case(
        "lengths_differ",
        headed(b"Content-Length: 2", b"Content-Length: 3"),
        RESET,
        unreadable(why.CONTENT_LENGTHS_DIFFER),
    ),
    Case("length_negative", headed(b"Content-Length: -5"), RESET, unreadable(why.CONTENT_LENGTH_INVALID)),
    Case(
        "length_of_40_digits",
        headed(b"Content-Length: " + b"9" * 40),
        RESET,
        unreadable(why.CONTENT_LENGTH_INVALID),
    ),
    Case("garbage", Answer(b"\x80\x01\x02 what\r\n\r\n"), RESET, unreadable(why.NO_STATUS_LINE)),
    Case("zeros", Answer(b"\0" * 100), RESET, unreadable(why.NO_STATUS_LINE)),
    Case("a_redis", Answer(b"-ERR unknown command\r\n"), RESET, unreadable(why.NO_STATUS_LINE)),
    Case(
        "a_tls_alert", Answer(b"\x15\x03\x03\x00\x02\x02\x28", CLOSE), RESET, unreadable(why.NO_STATUS_LINE)
    ),
    Case("a_page_without_a_head", Answer(b"<html>no</html>", CLOSE), RESET, unreadable(why.NO_STATUS_LINE)),
    Case("version_9", Answer(b"HTTP/9.9 200 OK\r\n\r\n"), RESET, unreadable(why.NO_STATUS_LINE)),
    Case("status_of_six_digits", Answer(b"HTTP/1.1 999999 X\r\n\r\n"), RESET, unreadable(why.NO_STATUS_LINE)),
    Case("switch", Answer(b"HTTP/1.1 101 Switching\r\n\r\n"), RESET, unreadable(why.PROTOCOL_SWITCHED)),
    Case(
        "chunk_size_in_letters", Answer(CHUNKED + b"zz\r\nok\r\n"), RESET, unreadable(why.CHUNK_SIZE_INVALID)
    ),
    Case("chunk_size_negative", Answer(CHUNKED + b"-1\r\nok\r\n"), RESET, unreadable(why.CHUNK_SIZE_INVALID)),
    Case(
        "chunk_size_too_large",
        Answer(CHUNKED + b"F" * 21 + b"\r\nok"),
        RESET,
        unreadable(why.CHUNK_SIZE_INVALID),
    ),
    Case(
        "chunk_longer_than_said", Answer(CHUNKED + b"1\r\nok\r\n"), RESET, unreadable(why.CHUNK_END_MISSING)
    ),
)

TOO_MUCH = (
    Case(
        "head_without_end",
        Answer(b"HTTP/1.1 200 OK\r\nX: ", endless=b"a" * 65536),
        RESET,
        unreadable(why.HEAD_TOO_LONG),
    ),
    Case(
        "interim_answers_without_end",
        Answer(endless=b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        RESET,
        unreadable(why.HEAD_TOO_LONG),
    ),
    Case(
        "chunk_extension_without_end",
        Answer(CHUNKED + b"1;", endless=b"a" * 65536),
        RESET,
        unreadable(why.HEAD_TOO_LONG),
    ),
    Case("body_of_2_mb", headed(b"Content-Length: 2000000", body=b"x" * 2_000_000), OK),
    Case("answers_without_end", Answer(endless=FINE * 1000), OK),
)

BROKEN = (
    Case("closes_at_once", Answer(b"", CLOSE), RESET, (CLOSED,)),
    Case("closes_in_the_head", Answer(b"HTTP/1.1 200 OK\r\nContent", CLOSE), RESET, (CLOSED,)),
    Case("closes_in_the_body", Answer(FINE[:-1], CLOSE), RESET, (CLOSED,)),
    Case("closes_in_a_chunk", Answer(CHUNKED + b"5\r\nok", CLOSE), RESET, (CLOSED,)),
    Case("closes_before_the_last_chunk", Answer(CHUNKED + b"2\r\nok\r\n", CLOSE), RESET, (CLOSED,)),
    Case("closes_after_an_interim_answer", Answer(b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE), RESET, (CLOSED,)),
    Case("resets_at_once", Answer(b"", RESETS), RESET, BROKEN_OFF),
    Case("resets_in_the_body", Answer(FINE[:-1], RESETS), RESET, BROKEN_OFF),
    Case(
        "resets_where_only_the_end_ends_it", Answer(b"HTTP/1.1 200 OK\r\n\r\nok", RESETS), RESET, BROKEN_OFF
    ),
)

LATE = (
    Case("silent", Answer(b"", SILENCE), TIMEOUT),
    Case("silent_in_the_head", Answer(b"HTTP/1.1 200", SILENCE), TIMEOUT),
    Case("silent_in_the_body", Answer(FINE[:-1], SILENCE), TIMEOUT),
    Case("silent_in_a_chunk", Answer(CHUNKED + b"5\r\nok", SILENCE), TIMEOUT),
    Case(
        "body_without_end",
        Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", endless=b"a" * 65536),
        TIMEOUT,
    ),
)

GROUPS = (
    Group("http", "readable", READABLE),
    Group("http", "more than an answer", MORE_THAN_AN_ANSWER, rate=40, may_cross=True),
    Group("http", "refusals", REFUSALS),
    Group("http", "early", EARLY, workload={"value": {"bytes": 3_000_000}}, are_cut=False),
    Group("http", "unreadable", UNREADABLE),
    Group("http", "too much", TOO_MUCH, are_cut=False),
    Group("http", "broken off", BROKEN),
    Group("http", "late", LATE, deadline="600ms", rate=25, are_cut=False),
)
