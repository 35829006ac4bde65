"""What asyncpg raises, as an outcome and in words."""

from __future__ import annotations

import asyncio

from asyncpg import PostgresError
from asyncpg.exceptions import DataError, InterfaceError, InternalClientError

from bench.core.outcome import Outcome
from bench.drivers.postgres.client_answers import NoAnswer

SERIALIZATION_FAILURE = "40001"
DEADLOCK_DETECTED = "40P01"
OUT_OF_RANGE = "22003"
_LAST_WORDS = ("FATAL", "PANIC")


def is_answer(error: BaseException) -> bool:
    """Whether the server said no, or would have, and the connection goes on.

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
