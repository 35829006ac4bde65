"""Any scanner, fed piece by piece as the loop does, and what it made of the bytes.

Run as a script it reads cases as JSON lines from its input and answers each with what was found:
with NUMBA_DISABLE_JIT=1 that is the plain life of the scanners, to be held against the compiled one.
"""

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.protocols import postgres, state
from bench.protocols.http import scanner as http

ROOT = Path(__file__).parent.parent.parent
Scan = Callable[[NDArray[np.int64], NDArray[np.uint8], int, int, NDArray[np.uint8]], int]
MARGIN = 8
"""Bytes around a piece that are none of it, as in a buffer that held other bytes before."""


class Feed:
    """A scanner with its state; collects (text, columns) of every reply."""

    def __init__(self, scan: Scan, columns: tuple[int, ...], around: int = 0) -> None:
        self.scan, self.columns, self.around = scan, columns, around
        self.state = np.zeros(state.STATE_COLUMNS, dtype=np.int64)
        self.text = np.zeros(state.TEXT_BYTES, dtype=np.uint8)
        self.replies: list[tuple[Any, ...]] = []
        self.is_broken = False
        self.used = 0

    @property
    def present(self) -> tuple[Any, ...]:
        """Text and columns as they are now."""
        text = self.text[: self.state[state.TEXT]].tobytes().decode("latin-1")
        return (text, *(int(self.state[column]) for column in self.columns))

    @property
    def outcome(self) -> tuple[Any, ...]:
        """All that a scanner promises, whatever the pieces were."""
        return self.replies, self.is_broken, self.used, self.present

    def feed(self, piece: bytes) -> None:
        """Scan a piece; stops for good where the bytes are none of the protocol."""
        data = np.full(len(piece) + 2 * MARGIN, self.around, dtype=np.uint8)
        data[MARGIN : len(piece) + MARGIN] = np.frombuffer(piece, dtype=np.uint8)
        at, end = MARGIN, len(piece) + MARGIN
        while at < end and not self.is_broken:
            after = int(self.scan(self.state, data, at, end, self.text))
            result = int(self.state[state.RESULT])
            assert at < after <= end or (result == state.BROKEN and after == at), "a scan must get on"
            self.used += after - at
            at = after
            if result == state.COMPLETE:
                self.replies.append(self.present)
                state.reset(self.state)
            elif result == state.BROKEN:
                self.is_broken = True
            else:
                assert result == state.MORE
                assert at == end

    def feed_all(self, data: bytes, cuts: Iterable[int]) -> "Feed":
        for piece in pieces(data, cuts):
            self.feed(piece)
        return self


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """`data` cut at the given places, wrapped into it."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        yield data[start:end]


def postgres_feed(around: int = 0) -> Feed:
    columns = (state.CLASS, state.CODE, state.ROWS, postgres.TRANSACTION, state.RESULT)
    return Feed(postgres.scan, columns, around)


def http_feed(needle: bytes = b"", is_head: bool = False, around: int = 0) -> Feed:
    text = np.frombuffer(needle, dtype=np.uint8).copy()
    links = http.links_of(needle)

    def scan(
        row: NDArray[np.int64], data: NDArray[np.uint8], start: int, end: int, kept: NDArray[np.uint8]
    ) -> int:
        return http.scan(row, data, start, end, kept, text, links, is_head)

    columns = (state.CLASS, state.CODE, state.ENDS, http.UNTIL_CLOSE, http.FOUND, state.RESULT)
    return Feed(scan, columns, around)


class Case(NamedTuple):
    """What to scan: `postgres` or `http`, the bytes as latin-1, where they are cut."""

    protocol: str
    data: str
    cuts: list[int]

    def run(self, around: int = 0) -> tuple[Any, ...]:
        feed = postgres_feed(around) if self.protocol == "postgres" else http_feed(b"aab", around=around)
        return feed.feed_all(self.data.encode("latin-1"), self.cuts).outcome


def spoiled_cases(protocol: str, messages: list[bytes], count: int) -> list[Case]:
    """Whole messages and damaged ones, each cut at some places; the same in every run."""
    chance = random.Random(protocol)
    cases = []
    for number in range(count):
        data = bytearray(b"".join(chance.choices(messages, k=2)))
        for _ in range(number % 4):
            at = chance.randrange(len(data))
            if number % 3 == 0:
                data[at] = chance.randrange(256)
            elif number % 3 == 1:
                del data[at]
            else:
                data.insert(at, chance.choice(data))
        cuts = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))]
        cases.append(Case(protocol, data.decode("latin-1"), cuts))
    return cases


def plain_outcomes(cases: list[Case]) -> list[Any]:
    """What the same scanners find in another process, where they are not compiled."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.protocols.scanning"],
        input="\n".join(json.dumps(case) for case in cases),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    from bench.core.jit import PLAIN

    assert PLAIN, "run me with NUMBA_DISABLE_JIT=1"
    for given in sys.stdin:
        sys.stdout.write(json.dumps(Case(*json.loads(given)).run()) + "\n")
