"""Per reply: what the three scanners cost."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from bench.core.jit import compiled, int64
from bench.protocols import postgres, resp
from bench.protocols.http import scanner as http
from bench.protocols.state import COMPLETE, RESULT, STATE_COLUMNS, TEXT_BYTES, reset

REPLIES = 2_000
NO_ELEMENT, START = int64(-1), int64(0)
BULK = b"$128\r\n" + b"x" * 128 + b"\r\n"
HTTP = b"HTTP/1.1 200 OK\r\nDate: Mon, 02 Feb 2026 02:40:00 GMT\r\nContent-Type: application/json\r\n" + (
    b"Content-Length: 64\r\nConnection: keep-alive\r\n\r\n" + b"y" * 64
)


def message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


ROW = message(b"D", struct.pack("!h", 1) + struct.pack("!i", 8) + b"12345678")
SELECTED = message(b"2", b"") + ROW + message(b"C", b"SELECT 1\0") + message(b"Z", b"I")


@compiled
def scan_resp(state: np.ndarray, data: np.ndarray, text: np.ndarray) -> int:
    at, found = START, 0
    while at < data.shape[0]:
        at = resp.scan(state, data, at, data.shape[0], text, NO_ELEMENT)
        if state[RESULT] == COMPLETE:
            found += 1
            reset(state)
    return found


@compiled
def scan_postgres(state: np.ndarray, data: np.ndarray, text: np.ndarray) -> int:
    at, found = START, 0
    while at < data.shape[0]:
        at = postgres.scan(state, data, at, data.shape[0], text)
        if state[RESULT] == COMPLETE:
            found += 1
            reset(state)
    return found


@compiled
def scan_http(
    state: np.ndarray, data: np.ndarray, text: np.ndarray, needle: np.ndarray, links: np.ndarray
) -> int:
    at, found = START, 0
    while at < data.shape[0]:
        at = http.scan(state, data, at, data.shape[0], text, needle, links, START)
        if state[RESULT] == COMPLETE:
            found += 1
            reset(state)
    return found


def ready(reply: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    data = np.frombuffer(reply * REPLIES, dtype=np.uint8).copy()
    return np.zeros(STATE_COLUMNS, dtype=np.int64), data, np.zeros(TEXT_BYTES, dtype=np.uint8)


def test_scanning_a_resp_reply(measure: Callable[..., None]) -> None:
    tables = ready(BULK)
    assert scan_resp(*tables) == REPLIES
    measure(lambda: scan_resp(*tables), REPLIES, "reply")


def test_scanning_a_postgres_reply(measure: Callable[..., None]) -> None:
    tables = ready(SELECTED)
    assert scan_postgres(*tables) == REPLIES
    measure(lambda: scan_postgres(*tables), REPLIES, "reply")


def test_scanning_an_http_reply(measure: Callable[..., None]) -> None:
    tables = ready(HTTP)
    nothing = np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int64)
    assert scan_http(*tables, *nothing) == REPLIES
    measure(lambda: scan_http(*tables, *nothing), REPLIES, "reply")
