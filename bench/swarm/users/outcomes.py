"""What the exceptions of request events mean: an outcome, and a text that is equal for equal errors.

Pure, and free of Locust: libraries that a locustfile may use are known by the names of their classes.
"""

import re
from collections.abc import Sequence

from bench.core.machine_limits import causes_of
from bench.core.outcome import Outcome
from bench.core.sanitize import redacted

TEXT_CHARACTERS = 96

_TOLD_BY_SERVER = ("CatchResponseError", "ResponseError", "BadStatusCode", "LocustBadStatusCode", "HTTPError")
_OWN_WORDS = ("CatchResponseError", "Unreported")
"""Their text is a sentence; the name of the class says nothing more."""
_TIMEOUTS = ("TimeoutError", "Timeout", "TimeoutException", "ReadTimeoutError", "ConnectTimeoutError")
_REFUSALS = ("ConnectionRefusedError", "gaierror", "NewConnectionError", "NameResolutionError")
_RESETS = (
    *("ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError"),
    *("ProtocolError", "RemoteDisconnected", "IncompleteRead", "ChunkedEncodingError"),
    *("HTTPConnectionClosed", "SSLError", "EmptyResponse"),
)
_NEVER_THERE = frozenset({101, 113})  # ENETUNREACH, EHOSTUNREACH

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+")
_QUERY = re.compile(r"\?[^\s'\"<>]*=[^\s'\"<>]*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_LOGIN = re.compile(r"\b(basic|bearer)\s+[A-Za-z0-9+/=._~-]+", re.IGNORECASE)
_NAMED_SECRET = re.compile(
    r"\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)['\"]?\s*[=:]\s*)['\"]?[^\s'\",}&]+",
    re.IGNORECASE,
)


def outcome_of(error: BaseException) -> Outcome:
    """How a request ended whose event carried `error`.

    ERROR: the server's answer, or what the locustfile thought of it. The first cause that says more
    about the connection decides.
    """
    found = Outcome.ERROR
    for one in causes_of(error):
        names = [base.__name__ for base in type(one).__mro__]
        if _status(one) is not None or names[0] in ("CatchResponseError", "ResponseError"):
            return Outcome.ERROR
        # First: urllib3's NewConnectionError is one of its timeouts.
        if any(name in _REFUSALS for name in names) or getattr(one, "errno", None) in _NEVER_THERE:
            return Outcome.REFUSED
        if any(name in _TIMEOUTS for name in names):
            return Outcome.TIMEOUT
        if any(name in _RESETS for name in names) and not any(name in _TOLD_BY_SERVER for name in names):
            found = Outcome.RESET
    return found


def text_of(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """The error in one short line, without what differs from request to request and without secrets."""
    status = _status(error)
    if status is not None:
        return f"HTTP {status}"
    name, text = type(error).__name__, str(error)
    if name in _OWN_WORDS:
        return shown(text or "marked as a failure by the locustfile", secrets)
    return shown(f"{name}: {text}" if text else name, secrets)


def shown(text: str, secrets: Sequence[str] = (), most: int = TEXT_CHARACTERS) -> str:
    """A text from outside in one line: URLs, queries, addresses and what looks like a secret left out."""
    text = redacted(text, secrets)
    text = _LOGIN.sub(r"\1 ***", text)
    text = _NAMED_SECRET.sub(r"\1***", text)
    text = _QUERY.sub("?...", _URL.sub("(URL)", text))
    text = _ADDRESS.sub("0x...", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:most]


def _status(error: BaseException) -> int | None:
    """The HTTP status that an exception stands for: of requests, of geventhttpclient, of httpx."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None and type(error).__name__ in ("LocustBadStatusCode", "BadStatusCode"):
        status = getattr(error, "code", None)
    return status if isinstance(status, int) and status > 0 else None
