"""What exceptions of requests mean, and what of them is shown."""

from __future__ import annotations

import socket

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import NewConnectionError, ProtocolError, ReadTimeoutError

from bench.core.outcome import Outcome
from bench.swarm.users.request_recorder import TEXT_CHARACTERS, outcome_of, shown, text_of


class HTTPConnectionClosed(Exception):  # noqa: N818 - named like geventhttpclient's
    pass


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__context__ = cause
    return error


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} for url: http://host/items/7?token=abc", response=response)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), Outcome.TIMEOUT),
        (requests.ReadTimeout("read timed out"), Outcome.TIMEOUT),
        (requests.ConnectTimeout(), Outcome.TIMEOUT),
        (caused(requests.ConnectionError(), ReadTimeoutError(None, "/", "late")), Outcome.TIMEOUT),  # type: ignore[arg-type]
        (ConnectionResetError(104, "reset"), Outcome.RESET),
        (BrokenPipeError(), Outcome.RESET),
        (
            requests.ConnectionError(ProtocolError("aborted", ConnectionResetError(104, "reset"))),
            Outcome.RESET,
        ),
        (HTTPConnectionClosed("closed"), Outcome.RESET),
        (ConnectionRefusedError(111, "refused"), Outcome.REFUSED),
        (requests.ConnectionError(NewConnectionError(None, "refused")), Outcome.REFUSED),  # type: ignore[arg-type]
        (socket.gaierror(-2, "Name or service not known"), Outcome.REFUSED),
        (OSError(113, "No route to host"), Outcome.REFUSED),
        (answered(503), Outcome.ERROR),
        (ValueError("no JSON"), Outcome.ERROR),
        (caused(answered(404), TimeoutError()), Outcome.ERROR),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else one.name,
)
def test_an_exception_becomes_the_outcome_that_its_cause_says(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_causes_that_go_round_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    assert outcome_of(first) is Outcome.ERROR


def test_an_answer_of_the_server_is_shown_by_its_status() -> None:
    assert text_of(answered(404)) == "HTTP 404"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach http://ann:s3cr3t@host:1/x?key=1", "cannot reach (URL)"),
        ("GET /login?user=ann&password=s3cr3t", "GET /login?..."),
        ("password=s3cr3t was wrong", "password=*** was wrong"),
        ('{"api_key": "s3cr3t", "a": 1}', '{"api_key": ***", "a": 1}'),
        ("Authorization: Bearer s3cr3t", "Authorization: *** ***"),
        ("the secret s3cr3t itself", "the secret *** itself"),
        ("<object at 0x7f3a2b>", "<object at 0x...>"),
        ("two\nlines\x1b[31m", "two lines [31m"),
    ],
)
def test_a_text_is_shown_without_secrets_and_what_differs_each_time(text: str, expected: str) -> None:
    assert shown(text, ["s3cr3t"]) == expected


@given(st.text(), st.text(min_size=3))
def test_whatever_the_text_it_is_one_short_line(text: str, secret: str) -> None:
    found = shown(text + secret + text, [secret])
    assert len(found) <= TEXT_CHARACTERS
    assert found.isprintable()
