"""PostgreSQL: what answers Bind, Execute and Sync by the protocol, and what does not."""

from __future__ import annotations

import struct

from bench.protocols import state as why
from tests.parity.cases import BROKEN_OFF, CLOSED, ERROR, OK, RESET, TIMEOUT, Case, Group, unreadable
from tests.parity.raw_servers import CLOSE, SILENCE, Answer
from tests.parity.raw_servers import RESET as RESETS


def said(kind: bytes, body: bytes = b"") -> bytes:
    """One message of a server."""
    return kind + struct.pack("!i", len(body) + 4) + body


def error(severity: str, sqlstate: str, text: str) -> bytes:
    """An ErrorResponse."""
    fields = (f"S{severity}", f"V{severity}", f"C{sqlstate}", f"M{text}", "Rexec_somewhere")
    return said(b"E", b"".join(one.encode() + b"\0" for one in fields) + b"\0")


BOUND = said(b"2")
ROW = said(b"D", struct.pack("!hi", 1, 1) + b"x")
DONE = said(b"C", b"SELECT 1\0")
READY = said(b"Z", b"I")
FINE = BOUND + ROW + DONE + READY
NOTICE = said(b"N", b"SNOTICE\0C00000\0Mby the way\0\0")
SETTING = said(b"S", b"application_name\0other\0")
GONE_WORDS = "57P01 terminating connection due to administrator command"
GONE = error("FATAL", *GONE_WORDS.split(" ", 1))

READABLE = (
    Case("plain", Answer(FINE), OK),
    Case("no_rows", Answer(BOUND + said(b"C", b"SELECT 0\0") + READY), OK),
    Case("notice_between", Answer(BOUND + NOTICE + ROW + NOTICE + DONE + READY), OK),
    Case("setting_between", Answer(BOUND + SETTING + ROW + SETTING + DONE + READY), OK),
    Case("notice_behind", Answer(FINE + NOTICE), OK),
    Case("empty_query", Answer(BOUND + said(b"I") + READY), OK),
)

LARGE = (
    Case(
        "row_of_3_mb",
        Answer(BOUND + said(b"D", struct.pack("!hi", 1, 3_000_000) + b"x" * 3_000_000) + DONE + READY),
        OK,
    ),
    Case("rows_of_3_mb", Answer(BOUND + ROW * 250_000 + said(b"C", b"SELECT 250000\0") + READY), OK),
)

REFUSALS = (
    Case(
        "refused_at_bind",
        Answer(error("ERROR", "22P02", "invalid input") + READY),
        ERROR,
        ("22P02 invalid input",),
    ),
    Case(
        "refused_in_execution",
        Answer(BOUND + error("ERROR", "23505", "twice") + READY),
        ERROR,
        ("23505 twice",),
    ),
    Case(
        "refused_behind_rows",
        Answer(BOUND + ROW + error("ERROR", "22012", "by zero") + READY),
        ERROR,
        ("22012 by zero",),
    ),
    Case(
        "read_only", Answer(BOUND + error("ERROR", "25006", "read-only") + READY), ERROR, ("25006 read-only",)
    ),
    Case("not_supported", Answer(error("ERROR", "0A000", "not here") + READY), ERROR, ("0A000 not here",)),
    Case(
        "error_with_a_notice",
        Answer(BOUND + NOTICE + error("ERROR", "XX000", "oh") + NOTICE + READY),
        ERROR,
        ("XX000 oh",),
    ),
)

UNREADABLE = (
    Case("a_web_server", Answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), RESET, unreadable(why.COPY_STARTED)),
    Case("garbage", Answer(b"\x80\x01\x02\x03\x04\x05 what"), RESET, unreadable(why.MESSAGE_UNKNOWN)),
    Case("zeros", Answer(b"\0" * 1000), RESET, unreadable(why.MESSAGE_UNKNOWN)),
    Case("authentication", Answer(said(b"R", b"\0\0\0\0")), RESET, unreadable(why.MESSAGE_UNKNOWN)),
    Case("copy_in", Answer(BOUND + said(b"G", b"\0\0\0")), RESET, unreadable(why.COPY_STARTED)),
    Case("copy_out", Answer(BOUND + said(b"H", b"\0\0\0")), RESET, unreadable(why.COPY_STARTED)),
    Case("row_of_2_gb", Answer(b"D\x7f\xff\xff\xff"), RESET, unreadable(why.MESSAGE_LENGTH_INVALID)),
    Case(
        "row_of_negative_length",
        Answer(b"D\xff\xff\xff\xfb\0\1"),
        RESET,
        unreadable(why.MESSAGE_LENGTH_INVALID),
    ),
    Case("description_of_no_length", Answer(b"T\0\0\0\0"), RESET, unreadable(why.MESSAGE_LENGTH_INVALID)),
    Case("error_without_an_end", Answer(b"E\0\0\0\x05S"), RESET, unreadable(why.ERROR_UNENDED)),
    Case("unknown_status", Answer(BOUND + DONE + said(b"Z", b"X")), RESET, unreadable(why.STATUS_UNKNOWN)),
)

BROKEN = (
    Case("closes_at_once", Answer(b"", CLOSE), RESET, (CLOSED,)),
    Case("closes_in_a_row", Answer(BOUND + ROW[:-1], CLOSE), RESET, (CLOSED,)),
    Case("closes_before_it_is_ready", Answer(BOUND + ROW + DONE, CLOSE), RESET, (CLOSED,)),
    Case("resets_at_once", Answer(b"", RESETS), RESET, BROKEN_OFF),
    Case(
        "gone_with_a_word",
        Answer(GONE, CLOSE),
        RESET,
        (GONE_WORDS,),
    ),
    Case(
        "gone_in_the_rows",
        Answer(BOUND + ROW + GONE, CLOSE),
        RESET,
        (GONE_WORDS,),
    ),
)

MORE_THAN_AN_ANSWER = (Case("two_answers", Answer(FINE + FINE), OK),)

LATE = (
    Case("silent", Answer(b"", SILENCE), TIMEOUT),
    Case("silent_in_a_row", Answer(BOUND + ROW[:-1], SILENCE), TIMEOUT),
    Case("never_ready", Answer(BOUND + ROW + DONE, SILENCE), TIMEOUT),
)

ENDLESS = (
    Case(
        "row_of_a_gb", Answer(BOUND + b"D\x3f\xff\xff\xff\0\1\x3f\xff\xff\xf9", endless=b"a" * 65536), TIMEOUT
    ),
    Case("rows_without_end", Answer(BOUND, endless=ROW * 5000), TIMEOUT),
    Case("settings_without_end", Answer(BOUND, endless=SETTING * 1000), TIMEOUT),
)

GROUPS = (
    Group("postgres", "readable", READABLE),
    Group("postgres", "large", LARGE, rate=25, are_cut=False),
    Group("postgres", "refusals", REFUSALS),
    Group("postgres", "more than an answer", MORE_THAN_AN_ANSWER, rate=40, may_cross=True),
    Group("postgres", "unreadable", UNREADABLE, rate=60),
    Group("postgres", "broken off", BROKEN, rate=60),
    Group("postgres", "late", LATE, deadline="600ms", rate=15, are_cut=False),
    Group("postgres", "without end", ENDLESS, deadline="1s", rate=8, are_cut=False),
)
