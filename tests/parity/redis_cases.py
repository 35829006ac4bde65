"""Redis: what a reply is by the specification of RESP2 and RESP3, and what is none."""

from __future__ import annotations

from bench.protocols import state as why
from tests.parity.cases import BROKEN_OFF, CLOSED, ERROR, OK, RESET, TIMEOUT, Case, Group, unreadable
from tests.parity.raw_servers import CLOSE, SILENCE, Answer
from tests.parity.raw_servers import RESET as RESETS

WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"


def transaction(name: str) -> dict[str, object]:
    """A transaction whose EXEC is answered by the case."""
    return {"commands": [["MULTI"], ["INCR", f"case:{name}"], ["EXEC"]]}


READABLE = (
    Case("bulk", Answer(b"$5\r\nhello\r\n"), OK),
    Case("empty_bulk", Answer(b"$0\r\n\r\n"), OK),
    Case("null_bulk", Answer(b"$-1\r\n"), OK),
    Case("null_array", Answer(b"*-1\r\n"), OK),
    Case("empty_array", Answer(b"*0\r\n"), OK),
    Case("integer", Answer(b":42\r\n"), OK),
    Case("status", Answer(b"+OK\r\n"), OK),
    Case("empty_status", Answer(b"+\r\n"), OK),
    Case("array_of_arrays", Answer(b"*2\r\n*1\r\n:1\r\n*-1\r\n"), OK),
    Case("nested_a_hundred_times", Answer(b"*1\r\n" * 100 + b":1\r\n"), OK),
    Case("bulk_with_line_ends", Answer(b"$4\r\n\r\n\r\n\r\n"), OK),
    Case("integer_of_30_digits", Answer(b":" + b"9" * 30 + b"\r\n"), OK),
    Case("executed", Answer(b"*1\r\n:1\r\n"), OK, operation=transaction("executed")),
    Case("aborted", Answer(b"*-1\r\n"), OK, operation=transaction("aborted")),
)

LARGE = (Case("bulk_of_3_mb", Answer(b"$3000000\r\n" + b"x" * 3_000_000 + b"\r\n"), OK),)

RESP3 = (
    Case("null", Answer(b"_\r\n"), OK),
    Case("map", Answer(b"%1\r\n+a\r\n:1\r\n"), OK),
    Case("set", Answer(b"~2\r\n:1\r\n:2\r\n"), OK),
    Case("double", Answer(b",1.5\r\n"), OK),
    Case("not_a_number", Answer(b",nan\r\n"), OK),
    Case("boolean", Answer(b"#t\r\n"), OK),
    Case("big_number", Answer(b"(12345678901234567890123\r\n"), OK),
    Case("verbatim", Answer(b"=7\r\ntxt:abc\r\n"), OK),
    Case("attribute_before_a_reply", Answer(b"|1\r\n+ttl\r\n:3\r\n+OK\r\n"), OK),
    Case("push_before_a_reply", Answer(b">2\r\n+message\r\n+x\r\n+OK\r\n"), OK),
    Case("bulk_error", Answer(b"!9\r\nSYNTAX no\r\n"), ERROR, ("SYNTAX no",)),
)

REFUSALS = (
    Case("error", Answer(b"-ERR unknown command\r\n"), ERROR, ("ERR unknown command",)),
    Case("error_without_words", Answer(b"-ERR\r\n"), ERROR, ("ERR",)),
    Case("moved", Answer(b"-MOVED 3999 127.0.0.1:6381\r\n"), ERROR, ("MOVED 3999 127.0.0.1:6381",)),
    Case("moved_to_nowhere", Answer(b"-MOVED what\r\n"), ERROR, ("MOVED what",)),
    Case("ask", Answer(b"-ASK 3999 127.0.0.1:6381\r\n"), ERROR, ("ASK 3999 127.0.0.1:6381",)),
    Case("loading", Answer(b"-LOADING Redis is loading\r\n"), ERROR, ("LOADING Redis is loading",)),
    Case("read_only", Answer(b"-READONLY You can't write\r\n"), ERROR, ("READONLY You can't write",)),
    Case(
        "not_logged_in",
        Answer(b"-NOAUTH Authentication required.\r\n"),
        ERROR,
        ("NOAUTH Authentication required.",),
    ),
    Case("cluster_down", Answer(b"-CLUSTERDOWN Hash slot\r\n"), ERROR, ("CLUSTERDOWN Hash slot",)),
    Case("wrong_type", Answer(b"-" + WRONG_TYPE + b"\r\n"), ERROR, (WRONG_TYPE.decode(),)),
    Case(
        "error_inside_exec",
        Answer(b"*1\r\n-ERR value is not an integer or out of range\r\n"),
        ERROR,
        ("ERR value is not an integer or out of range",),
        transaction("error_inside_exec"),
    ),
    Case(
        "exec_refused",
        Answer(b"-EXECABORT Transaction discarded\r\n"),
        ERROR,
        ("EXECABORT Transaction discarded",),
        transaction("exec_refused"),
    ),
    Case("error_in_an_array", Answer(b"*2\r\n:1\r\n*1\r\n-ERR deep\r\n"), ERROR, ("ERR deep",)),
)

MORE_THAN_AN_ANSWER = (
    Case("two_replies", Answer(b"+OK\r\n+OK\r\n"), OK),
    Case("closes_behind_its_reply", Answer(b"+OK\r\n", CLOSE), OK),
    Case("page_behind_its_reply", Answer(b"+OK\r\n<html>"), OK),
)

UNREADABLE = (
    Case(
        "a_web_server", Answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), RESET, unreadable(why.RESP_TYPE_UNKNOWN)
    ),
    Case("garbage", Answer(b"\x80\x01garbage\r\n"), RESET, unreadable(why.RESP_TYPE_UNKNOWN)),
    Case("zeros", Answer(b"\0" * 1000), RESET, unreadable(why.RESP_TYPE_UNKNOWN)),
    Case("blank_lines", Answer(b"\r\n\r\n"), RESET, unreadable(why.RESP_TYPE_UNKNOWN)),
    Case(
        "length_of_40_digits",
        Answer(b"$" + b"9" * 40 + b"\r\nabc\r\n"),
        RESET,
        unreadable(why.LENGTH_INVALID),
    ),
    Case("length_below_null", Answer(b"$-5\r\n"), RESET, unreadable(why.LENGTH_INVALID)),
    Case("array_length_below_null", Answer(b"*-7\r\n"), RESET, unreadable(why.LENGTH_INVALID)),
    Case("streamed_bulk", Answer(b"$?\r\n;4\r\nabcd\r\n;0\r\n"), RESET, unreadable(why.LENGTH_INVALID)),
    Case("bulk_longer_than_said", Answer(b"$3\r\nabcXX\r\n"), RESET, unreadable(why.BULK_END_MISSING)),
    Case("line_ends_by_lf", Answer(b"+OK\n+OK\n"), RESET, unreadable(why.LINE_END_MISSING)),
)

BROKEN = (
    Case("closes_at_once", Answer(b"", CLOSE), RESET, (CLOSED,)),
    Case("closes_in_a_bulk", Answer(b"$5\r\nhel", CLOSE), RESET, (CLOSED,)),
    Case("closes_in_an_array", Answer(b"*2\r\n+a\r\n", CLOSE), RESET, (CLOSED,)),
    Case("resets_at_once", Answer(b"", RESETS), RESET, BROKEN_OFF),
    Case("resets_in_a_bulk", Answer(b"$5\r\nhel", RESETS), RESET, BROKEN_OFF),
)

LATE = (
    Case("silent", Answer(b"", SILENCE), TIMEOUT),
    Case("silent_in_a_bulk", Answer(b"$5\r\nhel", SILENCE), TIMEOUT),
    Case("array_of_two_billion", Answer(b"*2147483647\r\n$5\r\nhello\r\n", SILENCE), TIMEOUT),
    Case("bulk_without_end", Answer(b"$99999999999\r\n", endless=b"a" * 65536), TIMEOUT),
    Case("status_without_end", Answer(b"+", endless=b"a" * 65536), TIMEOUT),
    Case("map_without_end", Answer(b"%1000000000\r\n", endless=b"+a\r\n" * 10000), TIMEOUT),
)

GROUPS = (
    Group("redis", "readable", READABLE),
    Group("redis", "large", LARGE, rate=40, are_cut=False),
    Group("redis", "resp3", RESP3, workload={"resp": 3}),
    Group("redis", "refusals", REFUSALS),
    Group("redis", "more than an answer", MORE_THAN_AN_ANSWER, rate=40, may_cross=True),
    Group("redis", "unreadable", UNREADABLE),
    Group("redis", "broken off", BROKEN),
    Group("redis", "late", LATE, deadline="600ms", rate=25, are_cut=False),
)
