"""Which limit of our own machine stands behind an error, whatever library wraps it."""

import errno
import os

import aiohttp
import psycopg
import pytest
import redis.exceptions
import requests
import urllib3.exceptions

from bench.core.errors import TargetError
from bench.core.machine_limits import OwnLimits, failure_of, limit_in


def raised(
    error: BaseException, cause: BaseException | None = None, *, hidden: bool = False
) -> BaseException:
    """The error as `except` sees it."""
    try:
        try:
            if cause is not None:
                raise cause
            raise error
        except OSError as first:
            if first is error:
                raise
            if hidden:
                raise error from None
            raise error from first
    except BaseException as seen:  # noqa: BLE001 - whatever it is
        return seen


PORTS = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
KEY = aiohttp.client_reqrep.ConnectionKey("h", 1, False, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (PORTS, errno.EADDRNOTAVAIL),
        (OSError(errno.ENOBUFS, "no buffer space"), errno.ENOBUFS),
        (OSError("Multiple exceptions: [Errno 99] Connect call failed, [Errno 99] Connect call failed"), 99),
        (raised(redis.exceptions.ConnectionError("Error 99 connecting to h:1."), PORTS), 99),
        (raised(redis.exceptions.ConnectionError("Error connecting."), FILES, hidden=True), errno.EMFILE),
        (aiohttp.ClientConnectorError(KEY, FILES), errno.EMFILE),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("x", PORTS)), 99),
        (psycopg.OperationalError('connection to server at "h" failed: Cannot assign requested address'), 99),
        (BaseExceptionGroup("all", [ValueError("x"), FILES]), errno.EMFILE),
    ],
)
def test_a_limit_of_ours_is_found_behind_what_a_library_raises(error: BaseException, number: int) -> None:
    assert limit_in(error) == number


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        TimeoutError(),
        redis.exceptions.ResponseError("ERR Too many open files"),
        psycopg.OperationalError("FATAL:  Too many open files in system"),
        OSError("99 bottles"),
        ValueError("[Errno 99]"),
    ],
)
def test_what_a_target_says_or_refuses_is_no_limit_of_ours(error: BaseException) -> None:
    assert limit_in(error) is None


def test_a_start_that_failed_for_our_own_limit_does_not_speak_of_the_target() -> None:
    refused = TargetError("redis", "127.0.0.1:1", "a Redis that answers", "nothing", "check the password")
    text, code = failure_of(raised(refused, FILES, hidden=True))  # type: ignore[arg-type]
    assert code == 2
    assert text.startswith("bench: this machine: expected a Redis that answers, found that no descriptor")
    assert "password" not in text


def test_a_limit_that_cost_no_arrival_is_a_note_and_else_makes_the_run_invalid() -> None:
    limits = OwnLimits()
    assert limits.note(PORTS)
    assert not limits.note(TimeoutError())
    assert [one[:2] for one in limits.anomalies("api", 0)] == [("own_limit", "note")]
    assert [one[:2] for one in limits.anomalies("api", 3)] == [("own_limit", "invalid")]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "expected memory, found that there was no more of it"),
        (RuntimeError("can't start new thread"), "expected one more thread, found that it gives none"),
    ],
)
def test_memory_and_threads_that_this_machine_does_not_give_are_no_bug_of_ours(
    error: Exception, said: str
) -> None:
    text, code = failure_of(error)
    assert text.startswith(f"bench: this machine: {said}; see the limits of this shell")
    assert code == 2


def test_a_bug_of_ours_stays_one() -> None:
    assert failure_of(RuntimeError("the loop ended"))[1] == 70
