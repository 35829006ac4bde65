"""What asyncpg receives and raises: answers pass the wire engine's scanner first, errors become outcomes.

So both engines agree on what an answer is, and neither keeps more of one than it needs: asyncpg gets
whole messages as usual, but at most KEPT_BYTES of rows per answer; further rows are only counted.
"""

import asyncio
import ssl
from typing import Any

import numpy as np
from asyncpg import PostgresError
from asyncpg.exceptions import DataError, InterfaceError, InternalClientError
from numpy.typing import NDArray

from bench.core.outcome import Outcome
from bench.engine.client.pool import PoolMonitor
from bench.protocols import postgres
from bench.protocols.state import (
    BROKEN,
    CLASS,
    CLOSED_EARLY,
    COMPLETE,
    ERROR_REPLY,
    RESULT,
    ROWS,
    STATE_COLUMNS,
    TEXT_BYTES,
    TEXTS,
    WHY,
    reset,
    why_lost,
)

KEPT_BYTES = 1 << 20
"""Rows beyond so many bytes of one answer are read and not kept."""


class NoAnswer(ConnectionError):  # noqa: N818 - it says what happened
    """There is no answer, or none that can be read; the text says why."""


class ScannedAnswers(asyncio.Protocol):
    """Stands between a connection that is logged in and asyncpg's protocol."""

    def __init__(self, inner: Any, transport: Any, watch: PoolMonitor) -> None:
        self._inner = inner
        self._transport = transport
        self._watch = watch
        self._state = np.zeros(STATE_COLUMNS, dtype=np.int64)
        self._text = np.zeros(TEXT_BYTES, dtype=np.uint8)
        self._frame = np.zeros(postgres.FRAME_COLUMNS, dtype=np.int64)
        self._why: str | None = None
        self.rows = 0
        """Of the last answer that was complete, those that asyncpg did not get among them."""

    def data_received(self, data: bytes) -> None:
        """Look at it, hand on what asyncpg is to have."""
        if self._why is not None:
            return
        piece = np.frombuffer(bytearray(data), dtype=np.uint8)
        used = postgres.scan(self._state, piece, 0, piece.size, self._text)
        if self._state[RESULT] == BROKEN:
            self._watch.broken_replies += 1
            self._give_up(TEXTS[self._state[WHY]])
            return
        is_complete = self._state[RESULT] == COMPLETE
        if is_complete:
            self.rows = int(self._state[ROWS])
            reset(self._state)
        self._hand_on(piece[:used])
        if is_complete:
            self._frame[postgres.FRAME_KEPT] = 0
        if used < piece.size:
            self._on_more(piece[used:])

    def _on_more(self, piece: NDArray[np.uint8]) -> None:
        """Behind an answer may come what concerns no request; more than that was not asked for."""
        postgres.scan(self._state, piece, 0, piece.size, self._text)
        if postgres.is_fresh(self._state):
            self._hand_on(piece)
        else:
            self._watch.stray_replies += 1
            self._give_up(TEXTS[CLOSED_EARLY])

    def _hand_on(self, piece: NDArray[np.uint8]) -> None:
        wanted = np.empty(piece.size + postgres.HEADER_BYTES, dtype=np.uint8)
        size = postgres.keep(self._frame, piece, piece.size, KEPT_BYTES, wanted)
        if size > 0:
            self._inner.data_received(wanted[:size].tobytes())

    @property
    def has_ended(self) -> bool:
        """Whether we ended the connection."""
        return self._why is not None

    def _give_up(self, why: str) -> None:
        self._why = why
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell asyncpg, with the reason."""
        if self._why is None and self._state[CLASS] == ERROR_REPLY:
            self._inner.connection_lost(exc)  # the server's last words are the reason
            return
        self._inner.connection_lost(NoAnswer(self._why or why_lost(exc)))

    def eof_received(self) -> bool | None:
        """As asyncpg wants it."""
        found: bool | None = self._inner.eof_received()
        return found

    def pause_writing(self) -> None:
        """The kernel takes no more for now."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._inner.resume_writing()


def compile_scanner() -> None:
    """Before the run: the first answer would wait for it."""
    state, text = np.zeros(STATE_COLUMNS, dtype=np.int64), np.zeros(TEXT_BYTES, dtype=np.uint8)
    postgres.scan(state, np.zeros(1, dtype=np.uint8), 0, 1, text)
    postgres.is_fresh(state)
    frame = np.zeros(postgres.FRAME_COLUMNS, dtype=np.int64)
    postgres.keep(frame, np.zeros(1, dtype=np.uint8), 1, KEPT_BYTES, np.zeros(8, dtype=np.uint8))
    reset(state)


SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
READ_ONLY_TRANSACTION = "25006"
OUT_OF_RANGE = "22003"
_LAST_WORDS = ("FATAL", "PANIC")


def is_answer(error: BaseException) -> bool:
    """Whether the server said no, or would have, and the connection stays usable.

    An error without severity is asyncpg's own, made up for a connection that broke, or, as a DataError,
    for a number that its type cannot hold: asyncpg sees that before it sends, the wire engine hears it of
    the server.
    """
    if isinstance(error, PostgresError):
        severity = _severity(error)
        return isinstance(error, DataError) if severity is None else severity not in _LAST_WORDS
    return False


def _severity(error: PostgresError) -> str | None:
    """In English, whatever language the server speaks; None for an error of asyncpg's own."""
    found = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    return found if isinstance(found, str) else None


def sqlstate_of(error: BaseException) -> str | None:
    """The server's SQLSTATE."""
    if isinstance(error, PostgresError) and _severity(error) is not None:
        found: str | None = error.sqlstate
        return found
    return None


def outcome_of(error: BaseException) -> Outcome:
    """How an arrival ended that had been sent."""
    if is_answer(error):
        return Outcome.ERROR
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    if is_expected(error):
        return Outcome.RESET
    return Outcome.ERROR  # asyncpg could not make sense of the answer


def is_expected(error: BaseException) -> bool:
    """All that asyncpg raises, and what the network does."""
    return isinstance(
        error, PostgresError | InterfaceError | InternalClientError | OSError | asyncio.CancelledError
    )


def text_of(error: BaseException) -> str:
    """A server's error as the wire engine has it: SQLSTATE, a space, the message."""
    if isinstance(error.__cause__, NoAnswer) and not sqlstate_of(error):
        return str(error.__cause__)
    if isinstance(error.__cause__, ssl.SSLError):
        return why_lost(error.__cause__)
    said = error if sqlstate_of(error) else error.__cause__
    if said is not None and (sqlstate := sqlstate_of(said)):
        return f"{sqlstate} {_one_line(said)}"
    if is_answer(error):
        # The value is in the text; without it equal errors have equal texts.
        return f"{OUT_OF_RANGE} {_one_line(error).rpartition('(')[2].rstrip(')')}"
    text = _one_line(error) or type(error).__name__
    if not isinstance(error, PostgresError | InterfaceError | OSError):
        return f"{type(error).__name__}: {text}"
    return text


def _one_line(error: BaseException) -> str:
    return " ".join((getattr(error, "message", None) or str(error)).split())
