"""Replies as trees: their bytes, and what an independent reader makes of those bytes.

The reader here is the plain recursive one that anybody would write first. It shares nothing with
the scanner under test, which has no recursion and may be interrupted between any two bytes.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from bench.protocols import resp, state

LINES = b"+-:_,#("
BULKS = b"$!="
AGGREGATES = b"*~%>|"


def line(kind: bytes, content: bytes) -> bytes:
    return kind + content + b"\r\n"


def bulk(kind: bytes, content: bytes) -> bytes:
    return kind + str(len(content)).encode() + b"\r\n" + content + b"\r\n"


def aggregate(kind: bytes, children: list[bytes]) -> bytes:
    count = len(children) // 2 if kind in b"%|" else len(children)
    return kind + str(count).encode() + b"\r\n" + b"".join(children)


WORDS = st.binary(max_size=20).map(lambda b: b.replace(b"\r", b".").replace(b"\n", b"."))
CONTENT = st.binary(max_size=40)

NULLS = st.sampled_from([b"_\r\n", b"$-1\r\n", b"*-1\r\n"])
ERRORS = WORDS.map(lambda w: line(b"-", b"ERR " + w))
BULK_ERRORS = CONTENT.map(lambda c: bulk(b"!", b"ERR " + c))
KEYS = WORDS.map(lambda w: line(b"+", w)) | st.integers(0, 2**62).map(lambda n: line(b":", str(n).encode()))
SCALARS = (
    KEYS
    | CONTENT.map(lambda c: bulk(b"$", c))
    | CONTENT.map(lambda c: bulk(b"=", b"txt:" + c))
    | st.sampled_from(
        [b"#t\r\n", b"#f\r\n", b",1.5\r\n", b",inf\r\n", b",-1e-9\r\n", b"(-349285239852938592385\r\n"]
    )
    | NULLS
    | ERRORS
)


def aggregates(children: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Arrays, sets and maps; a map's keys are plain, so that any reader can make a dictionary of it."""
    members = st.lists(children, max_size=5)
    pairs = st.lists(st.tuples(KEYS, children), max_size=4).map(
        lambda p: [part for pair in p for part in pair]
    )
    return (
        members.map(lambda m: aggregate(b"*", m))
        | members.map(lambda m: aggregate(b"~", m))
        | pairs.map(lambda p: aggregate(b"%", p))
    )


def hashable_aggregates(children: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same for hiredis, which makes Python values: no set of lists, no key twice in a map."""
    members = st.lists(children, max_size=5)
    pairs = st.lists(children, max_size=4).map(
        lambda m: [part for number, value in enumerate(m) for part in (line(b":", b"%d" % number), value)]
    )
    return (
        members.map(lambda m: aggregate(b"*", m))
        | st.lists(KEYS, max_size=5).map(lambda m: aggregate(b"~", m))
        | pairs.map(lambda p: aggregate(b"%", p))
    )


TREES = st.recursive(SCALARS, hashable_aggregates, max_leaves=20)
PUSHES = st.lists(TREES, min_size=1, max_size=4).map(
    lambda m: aggregate(b">", [line(b"+", b"invalidate"), *m])
)

# Attributes may stand before any value. Nothing in them is an error: a reply's class is its value's.
CALM = (
    KEYS
    | NULLS
    | CONTENT.map(lambda c: bulk(b"$", c))
    | st.lists(KEYS, max_size=3).map(lambda m: aggregate(b"*", m))
)
ATTRIBUTES = st.lists(st.tuples(KEYS, CALM), max_size=3).map(
    lambda p: aggregate(b"|", [part for pair in p for part in pair])
)


def described(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Values, some of them behind attributes."""
    return st.tuples(st.lists(ATTRIBUTES, max_size=2), values).map(lambda t: b"".join(t[0]) + t[1])


DESCRIBED = st.recursive(
    described(SCALARS | BULK_ERRORS), lambda c: described(aggregates(c)), max_leaves=15
) | described(PUSHES)


@dataclass
class Value:
    """One value as the recursive reader sees it."""

    kind: int
    is_null: bool
    has_error: bool
    end: int


def read_value(data: bytes, at: int) -> Value:
    kind = data[at]
    stop = data.index(b"\r\n", at)
    content, after = data[at + 1 : stop], stop + 2
    if kind in LINES:
        return Value(kind, kind == ord("_"), kind == ord("-"), after)
    count = int(content)
    if count < 0:
        return Value(kind, True, False, after)
    if kind in BULKS:
        return Value(kind, False, kind == ord("!"), after + count + 2)
    assert kind in AGGREGATES
    has_error = False
    for _ in range(count * 2 if kind in b"%|" else count):
        child = read_value(data, after)
        has_error, after = has_error or child.has_error, child.end
    if kind == ord("|"):
        return read_value(data, after)
    return Value(kind, False, has_error, after)


def read_classes(data: bytes) -> list[int]:
    """The class of every reply in `data`, which holds whole replies only."""
    classes = []
    at = 0
    while at < len(data):
        value = read_value(data, at)
        at = value.end
        if value.kind == ord(">"):
            classes.append(state.PUSH_REPLY)
        elif value.has_error:
            classes.append(state.ERROR_REPLY)
        else:
            classes.append(state.NULL_REPLY if value.is_null else state.PLAIN_REPLY)
    return classes


class Scanner:
    """The scanner under test, fed piece by piece as the loop does."""

    def __init__(self, text_element: int = -1) -> None:
        self.state = np.zeros(state.STATE_COLUMNS, dtype=np.int64)
        self.text = np.zeros(state.TEXT_BYTES, dtype=np.uint8)
        self.element = text_element
        self.classes: list[int] = []
        self.texts: list[bytes] = []
        self.is_broken = False

    def feed(self, piece: bytes) -> None:
        """Scan a piece; stops for good where the bytes are no RESP."""
        data = np.frombuffer(piece, dtype=np.uint8) if piece else np.zeros(0, dtype=np.uint8)
        at = 0
        while at < len(piece) and not self.is_broken:
            after = resp.scan(self.state, data, at, len(piece), self.text, self.element)
            assert at < after <= len(piece), "a scan must get on"
            at = after
            result = int(self.state[state.RESULT])
            if result == state.COMPLETE:
                self.classes.append(int(self.state[state.CLASS]))
                self.texts.append(self.text[: self.state[state.TEXT]].tobytes())
                state.reset(self.state)
            elif result == state.BROKEN:
                self.is_broken = True
            else:
                assert result == state.MORE
                assert at == len(piece)

    @property
    def is_between_replies(self) -> bool:
        return not self.state.any()


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """`data` cut at the given places, wrapped into it."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        yield data[start:end]


def scan_all(data: bytes, cuts: list[int] | None = None, text_element: int = -1) -> Scanner:
    scanner = Scanner(text_element)
    for piece in pieces(data, cuts or []):
        scanner.feed(piece)
    return scanner
