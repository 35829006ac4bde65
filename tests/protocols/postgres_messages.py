"""Messages of a PostgreSQL server: recorded ones, random ones, and what a plain reader makes of them."""

import struct
from typing import NamedTuple

from hypothesis import strategies as st

from bench.protocols.state import ERROR_REPLY, PLAIN_REPLY, TEXT_BYTES


class Reply(NamedTuple):
    """As scanning.postgres_feed collects it."""

    text: str
    kind: int
    code: int
    rows: int
    transaction: int
    result: int


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


def row(*values: bytes | None) -> bytes:
    columns = [b"\xff" * 4 if value is None else struct.pack(">I", len(value)) + value for value in values]
    return message(b"D", struct.pack(">H", len(values)) + b"".join(columns))


def fields(*given: bytes) -> bytes:
    """The body of an error or of a notice."""
    return b"".join(field + b"\0" for field in given) + b"\0"


def error(*given: bytes) -> bytes:
    return message(b"E", fields(*given))


BOUND = message(b"2")
SELECTED = message(b"C", b"SELECT 1\0")
READY, IN_TRANSACTION, FAILED = (message(b"Z", status) for status in (b"I", b"T", b"E"))
NOTICE = message(b"N", fields(b"SNOTICE", b"C00000", b"Mtake note"))
CHANGED = message(b"S", b"application_name\0bench\0")
NOTIFIED = message(b"A", struct.pack(">I", 4160) + b"news\0hello\0")

# What PostgreSQL 18.4 sent over a raw socket, up to and including its ReadyForQuery.
RECORDED = {
    "simple select": (
        b"T\x00\x00\x00\x1c\x00\x01one\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff"
        b"\xff\x00\x00D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011C\x00\x00\x00\rSELECT 1\x00"
        b"Z\x00\x00\x00\x05I"
    ),
    "create": b"C\x00\x00\x00\x11CREATE TABLE\x00Z\x00\x00\x00\x05I",
    "insert": b"C\x00\x00\x00\x0fINSERT 0 3\x00Z\x00\x00\x00\x05I",
    "parse, describe": (
        b"1\x00\x00\x00\x04t\x00\x00\x00\n\x00\x01\x00\x00\x00\x17"
        b"T\x00\x00\x00\x1d\x00\x01note\x00\x00\x00@\x00\x00\x02\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff"
        b"\x00\x00Z\x00\x00\x00\x05I"
    ),
    "prepared select": (
        b"2\x00\x00\x00\x04D\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x02n2C\x00\x00\x00\rSELECT 1\x00"
        b"Z\x00\x00\x00\x05I"
    ),
    "prepared select, no row": b"2\x00\x00\x00\x04C\x00\x00\x00\rSELECT 0\x00Z\x00\x00\x00\x05I",
    "described portal": (
        b"2\x00\x00\x00\x04"
        b"T\x00\x00\x00\x1d\x00\x01note\x00\x00\x00@\x00\x00\x02\x00\x00\x00\x19\xff\xff\xff\xff\xff\xff"
        b"\x00\x00D\x00\x00\x00\x0c\x00\x01\x00\x00\x00\x02n2C\x00\x00\x00\rSELECT 1\x00"
        b"Z\x00\x00\x00\x05I"
    ),
    "suspended": (
        b"1\x00\x00\x00\x042\x00\x00\x00\x04"
        b"D\x00\x00\x00\x11\x00\x02\x00\x00\x00\x011\x00\x00\x00\x02n1"
        b"D\x00\x00\x00\x11\x00\x02\x00\x00\x00\x012\x00\x00\x00\x02n2s\x00\x00\x00\x04"
        b"Z\x00\x00\x00\x05I"
    ),
    "no data": (
        b"1\x00\x00\x00\x04t\x00\x00\x00\n\x00\x01\x00\x00\x00\x17n\x00\x00\x00\x042\x00\x00\x00\x04"
        b"C\x00\x00\x00\x0fINSERT 0 1\x00Z\x00\x00\x00\x05I"
    ),
    "unique violation": (
        b"2\x00\x00\x00\x04"
        b"E\x00\x00\x00\xbaSERROR\x00VERROR\x00C23505\x00Mduplicate key value violates unique constraint "
        b'"account_pkey"\x00DKey (id)=(7) already exists.\x00spublic\x00taccount\x00naccount_pkey\x00Fnbt'
        b"insert.c\x00L666\x00R_bt_check_unique\x00\x00Z\x00\x00\x00\x05I"
    ),
    "closed": b"3\x00\x00\x00\x04Z\x00\x00\x00\x05I",
    "empty query": b"I\x00\x00\x00\x04Z\x00\x00\x00\x05I",
    "several statements": (
        b"T\x00\x00\x00\x1b\x00\x01id\x00\x00\x00@\x00\x00\x01\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff"
        b"\x00\x00D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x012"
        b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x013D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x017"
        b"C\x00\x00\x00\rSELECT 4\x00"
        b"T\x00\x00\x00!\x00\x01?column?\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19\xff\xff\xff\xff\xff"
        b"\xff\x00\x00D\x00\x00\x00\n\x00\x01\xff\xff\xff\xffC\x00\x00\x00\rSELECT 1\x00"
        b"C\x00\x00\x00\rUPDATE 4\x00Z\x00\x00\x00\x05I"
    ),
    "begin": b"C\x00\x00\x00\nBEGIN\x00Z\x00\x00\x00\x05T",
    "error in a transaction": (
        b'E\x00\x00\x00jSERROR\x00VERROR\x00C42P01\x00Mrelation "nowhere" does not exist\x00P15\x00Fparse'
        b"_relation.c\x00L1466\x00RparserOpenTable\x00\x00Z\x00\x00\x00\x05E"
    ),
    "failed transaction": (
        b"E\x00\x00\x00\x90SERROR\x00VERROR\x00C25P02\x00Mcurrent transaction is aborted, commands ignore"
        b"d until end of transaction block\x00Fpostgres.c\x00L1136\x00Rexec_simple_query\x00\x00"
        b"Z\x00\x00\x00\x05E"
    ),
    "rollback": b"C\x00\x00\x00\rROLLBACK\x00Z\x00\x00\x00\x05I",
    "notice": (
        b'N\x00\x00\x00rSNOTICE\x00VNOTICE\x00C00000\x00Mtable "nowhere" does not exist, skipping\x00Ftab'
        b"lecmds.c\x00L1497\x00RDropErrorMsgNonExistent\x00\x00C\x00\x00\x00\x0fDROP TABLE\x00"
        b"Z\x00\x00\x00\x05I"
    ),
    "parameter status": (
        b"C\x00\x00\x00\x08SET\x00S\x00\x00\x00\x1bapplication_name\x00bench\x00Z\x00\x00\x00\x05I"
    ),
    "notification": (
        b"C\x00\x00\x00\x0bLISTEN\x00C\x00\x00\x00\x0bNOTIFY\x00"
        b"A\x00\x00\x00\x13\x00\x00\x12\xc6news\x00hello\x00Z\x00\x00\x00\x05I"
    ),
    "only sync": b"Z\x00\x00\x00\x05I",
}
TERMINATED = (
    b"T\x00\x00\x00-\x00\x01pg_terminate_backend\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x01"
    b"\xff\xff\xff\xff\x00\x00D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x01tE\x00\x00\x00tSFATAL\x00VFATAL\x00"
    b"C57P01\x00Mterminating connection due to administrator command\x00Fpostgres.c\x00L3354\x00"
    b"RProcessInterrupts\x00\x00"
)
"""The last that is heard of a server process that was ended in the middle of a reply."""

COPY_OUT = b"H\x00\x00\x00\x0b\x00\x00\x02\x00\x00\x00\x00d\x00\x00\x00\x081\tx\n"
COPY_IN = b"G\x00\x00\x00\x0b\x00\x00\x02\x00\x00\x00\x00"
LOGIN = (
    b"R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x17in_hot_standby\x00off\x00"
    b"K\x00\x00\x00\x0c\x00\x00\x10@\x91\x97+\xb0Z\x00\x00\x00\x05I"
)

_TEXTS = st.binary(max_size=120).map(lambda text: text.replace(b"\0", b"."))
_VALUES = st.none() | st.binary(max_size=50)
_CODES = st.from_regex(rb"[0-9A-Z]{5}", fullmatch=True)
_OTHER_FIELDS = st.tuples(st.sampled_from([b"S", b"V", b"D", b"H", b"P", b"L", b"z"]), _TEXTS).map(b"".join)
ERRORS = st.tuples(_CODES, _TEXTS, st.lists(_OTHER_FIELDS, max_size=4)).flatmap(
    lambda given: st.permutations([b"C" + given[0], b"M" + given[1], *given[2]]).map(lambda f: error(*f))
)
_ASYNCHRONOUS = st.sampled_from([NOTICE, CHANGED, NOTIFIED]) | st.lists(_OTHER_FIELDS, max_size=3).map(
    lambda given: message(b"N", fields(*given))
)
_MESSAGES = (
    st.lists(_VALUES, max_size=4).map(lambda values: row(*values))
    | st.sampled_from([message(kind.to_bytes()) for kind in b"123Ins"])
    | _TEXTS.map(lambda tag: message(b"C", tag + b"\0"))
    | st.binary(min_size=2, max_size=40).map(lambda body: message(b"T", body))
    | st.lists(st.binary(min_size=4, max_size=4), max_size=3).map(
        lambda types: message(b"t", struct.pack(">H", len(types)) + b"".join(types))
    )
    | ERRORS
    | _ASYNCHRONOUS
)
REPLIES = st.tuples(st.lists(_MESSAGES, max_size=8), st.sampled_from([READY, IN_TRANSACTION, FAILED])).map(
    lambda parts: b"".join(parts[0]) + parts[1]
)


def read_replies(data: bytes) -> list[Reply]:
    """Every reply of `data`, which holds whole replies only, by the plain reader."""
    replies = []
    rows, errors = 0, []
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from(">cI", data, at)
        body = data[at + 5 : at + 1 + length]
        at += 1 + length
        if kind == b"D":
            rows += 1
        elif kind == b"E":
            errors.append({field[:1]: field[1:] for field in body.split(b"\0") if field})
        elif kind == b"Z":
            text, code = b"", b""
            if errors:
                code = errors[0][b"C"]
                text = b" ".join(part for part in (code, errors[0][b"M"]) if part)
            kind_of_reply = ERROR_REPLY if errors else PLAIN_REPLY
            kept = text[:TEXT_BYTES].decode("latin-1")
            replies.append(Reply(kept, kind_of_reply, int.from_bytes(code, "big"), rows, body[0], 1))
            rows, errors = 0, []
    return replies
