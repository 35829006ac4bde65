"""What the users' process records: every request that has ended, with the outcome that its exception means.

Pure, and free of Locust: libraries that a locustfile may use are known by the names of their classes.

A request is an arrival that was planned when its user asked: response and service time are one, and there
is no lag. It belongs to the phase in which it began. The rules of what is charged are those of the other
engines: the same compiled function enters it.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import ANSWER_COLUMNS, FIRST_STATUS, ErrorKinds
from bench.core.jit import PLAIN
from bench.core.machine_limits import OwnLimits, causes_of
from bench.core.outcome import Outcome
from bench.core.sanitize import redacted
from bench.engine.board import SharedBoard
from bench.engine.client.results import BATCH_COLUMNS, BoardWriter, connections_table, enter
from bench.engine.client.timing import LoopLag
from bench.engine.locust.messages import UsersTask
from bench.engine.wire import layout

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


NEVER = -1
NO_WAIT = -1
ERROR_KINDS = 64
NAMES = 500
OTHER_NAME = "other names"
MOST_LANES = 2**15


class RequestRecorder:
    """Written by the one thread of the users' process."""

    def __init__(self, shared: SharedBoard, log: NDArray[np.int64] | None, task: UsersTask) -> None:
        self.lag = LoopLag()
        """Of the loop of all users; times from run zero."""
        self.gauges = shared.gauges
        self.end_ns = task.phase_ends_ns[-1]
        """From run zero: what begins later is no part of the run."""
        self.errors = ErrorKinds(ERROR_KINDS)
        self.own_limits = OwnLimits()
        """What of this machine's own prevented connections."""
        self.unmatched: Counter[str] = Counter()
        self.after_the_end = 0
        self._names = [name for name, _ in task.operations]
        self._requests = {request: number for number, (_, request) in enumerate(task.operations)}
        self._other = len(task.operations)
        self._operation_count = len(task.operations) + 1
        self._phase_ends_ns = task.phase_ends_ns
        self._phase = 0
        self._deadline_ns = task.deadline_ns
        self._secrets = task.secrets
        self._zero_ns = 0
        self._arrivals = 0
        self._taken = shared.board.taken
        self._answers = shared.board.answers
        self._batch = array("q")
        settings = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
        settings[layout.DEADLINE_NS] = task.deadline_ns
        settings[layout.DURATION_NS] = self.end_ns
        settings[layout.OPERATION_COUNT] = self._operation_count
        settings[layout.LOGGING] = log is not None
        empty = np.zeros((0, layout.LOG_WORDS), dtype=np.int64)
        board = shared.board
        self._writer = BoardWriter(
            settings,
            board.counts,
            board.tallies,
            self.gauges,
            empty if log is None else log,
            connections_table(),
            # A request is one round trip to us.
            np.zeros((self._operation_count, layout.OPERATION_COLUMNS), dtype=np.int64),
        )
        self.flush()  # compiles

    def begin(self, zero_ns: int) -> None:
        """Run zero on CLOCK_MONOTONIC."""
        self._zero_ns = zero_ns

    def counts(self, start_ns: int) -> bool:
        """Whether what begins at `start_ns` on CLOCK_MONOTONIC is part of the run."""
        return 0 <= start_ns - self._zero_ns < self.end_ns

    def record(
        self,
        method: str,
        name: str,
        start_ns: int,
        took_ns: int,
        error: BaseException | None,
        lane: int,
        outcome: Outcome | None = None,
        status: int | None = None,
    ) -> None:
        """One ended request; `start_ns` on CLOCK_MONOTONIC. Without `outcome` the error says how it ended.

        `status` is that of an HTTP answer.
        """
        if not self.counts(start_ns):
            self.after_the_end += 1
            return
        start = start_ns - self._zero_ns
        took_ns = max(took_ns, 0)
        operation = self._operation(method, name)
        if outcome is None:
            outcome = Outcome.OK if error is None else outcome_of(error)
            if error is not None and self.own_limits.note(error):
                outcome = Outcome.REFUSED  # whatever its library calls it: it was never sent
        if took_ns > self._deadline_ns and outcome in (Outcome.OK, Outcome.ERROR):
            outcome = Outcome.TIMEOUT
            self._note(operation, "answered after the deadline")
        elif error is not None:
            self._note(operation, text_of(error, self._secrets))
        row = self._phase_of(start) * self._operation_count + operation
        if status is not None and FIRST_STATUS <= status < ANSWER_COLUMNS:
            self._answers[row, status] += 1
        sent = NEVER if outcome is Outcome.REFUSED else start
        # The columns of a flight (layout), then those of a batch; lateness is known at the next stroke.
        self._batch.extend((start, sent, self._arrivals, row, NEVER, NEVER, 0, outcome, start + took_ns))
        self._batch.extend((NO_WAIT, lane % MOST_LANES, 0))
        self._arrivals += 1

    def flush(self) -> None:
        """Enter what was noted since the last call."""
        batch, self._batch = self._batch, array("q")
        rows = np.array(batch, dtype=np.int64).reshape(-1, BATCH_COLUMNS)
        for entry in rows:
            self._taken[entry[layout.ROW]] += 1
        self.gauges[layout.TAKEN] += len(rows)
        if PLAIN:
            with np.errstate(over="ignore"):
                enter(self._writer, rows, self.lag.stretches())
        else:
            enter(self._writer, rows, self.lag.stretches())

    def _operation(self, method: str, name: str) -> int:
        number = self._requests.get(f"{method} {name}", self._requests.get(name))
        if number is not None:
            return number
        place = shown(f"{method} {name}", self._secrets)
        if place not in self.unmatched and len(self.unmatched) >= NAMES:
            place = OTHER_NAME
        self.unmatched[place] += 1
        return self._other

    def _note(self, operation: int, text: str) -> None:
        name = self._names[operation] if operation < self._other else "other"
        self.errors.add(name, text)

    def _phase_of(self, start_ns: int) -> int:
        """Requests end out of order, so the phase may be an earlier one than the last request's."""
        number = self._phase
        while start_ns >= self._phase_ends_ns[number]:
            number += 1
        while number and start_ns < self._phase_ends_ns[number - 1]:
            number -= 1
        self._phase = number
        return number
