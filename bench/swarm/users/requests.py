"""Every request of the users, from its begin: also one that hangs, or whose end Locust never reports.

Locust reports a request when it has ended. A request that is under way when its user is killed, and one
whose `with` block ends in an exception, would be lost, and what is lost makes percentiles better than they
are. So the clients of HttpUser and FastHttpUser, and `events.request.measure`, are watched from their begin
too. A custom client that only fires the event is known by its ends alone.
"""

import functools
import itertools
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import GreenletExit
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession

from bench.core.clock import monotonic_ns
from bench.core.outcome import Outcome
from bench.swarm.users.request_recorder import RequestRecorder

NS_PER_MS = 1e6


class Unreported(Exception):  # noqa: N818 - what happened is the name
    """A request whose end the locustfile did not report, or reported in words alone."""


class PendingRequest:
    """One request that has begun; times in ns on CLOCK_MONOTONIC."""

    __slots__ = ("answer", "error", "has_ended", "is_ending", "lane", "method", "name", "start_ns", "took_ns")

    def __init__(self, method: str, name: str, lane: int) -> None:
        self.method = method
        self.name = name
        self.lane = lane
        self.start_ns = monotonic_ns()
        self.took_ns: int | None = None
        """Known once it was answered."""
        self.answer: weakref.ref[Any] | None = None
        self.error: BaseException | None = None
        """What its client found wrong, before the locustfile has looked at it."""
        self.is_ending = True
        """Whether an event that comes now, in its greenlet, is its own."""
        self.has_ended = False


class Requests:
    """Listens to all requests of one Locust environment and records them."""

    def __init__(self, recorder: RequestRecorder, deadline_ns: int) -> None:
        self._recorder = recorder
        self._deadline_ns = deadline_ns
        self._open: set[PendingRequest] = set()
        self._current: dict[Any, PendingRequest] = {}
        self._answered: dict[int, PendingRequest] = {}
        """By the identity of their answers: those whose event is still to come."""
        self._abandoned: list[PendingRequest] = []
        self._lanes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._numbers = itertools.count()
        self.only_reported = 0
        """Events of requests that were not seen from their begin."""
        self.without_time = 0

    def watch(self, request_event: Any) -> None:
        """Begin to listen: to the event, and to the clients that fire it."""
        request_event.add_listener(self._on_request)
        request_event.measure = self._measuring(request_event.measure)
        sessions: tuple[Any, ...] = (HttpSession, FastHttpSession)
        for session in sessions:
            session.request = self._watched(session.request)

    @property
    def under_way(self) -> int:
        """Requests that have begun and are not answered."""
        return len(self._open)

    def has_open(self) -> bool:
        """Whether anything that belongs to the run is not answered yet."""
        return any(self._recorder.counts(pending.start_ns) for pending in self._open)

    def settle(self) -> None:
        """Record what its users have dropped since the last call."""
        abandoned, self._abandoned = self._abandoned, []
        for pending in abandoned:
            error = pending.error or Unreported("an exception left its with-block")
            self._end(pending, pending.took_ns or 0, error)

    def give_up(self) -> None:
        """Record all that has not ended, once nothing is left that could end it."""
        self._abandoned += self._answered.values()
        self._answered.clear()
        self.settle()
        for pending in list(self._open):
            self._killed(pending)

    # --- from the users' greenlets ---------------------------------------------------------------

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`request` of a session, which takes method, url and name in this order."""

        @functools.wraps(original)
        def request(
            session: Any, method: Any, url: Any, name: str | None = None, *rest: Any, **more: Any
        ) -> Any:
            with self._under_way(_text(method), name or session.request_name or _path(url)) as pending:
                answer = original(session, method, url, name, *rest, **more)
                if not pending.has_ended:
                    self._await_event(pending, answer)
                return answer

        return request

    def _measuring(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`measure` of the request event."""

        @contextmanager
        @functools.wraps(original)
        def measure(request_type: str, name: str, *rest: Any, **more: Any) -> Iterator[dict[str, Any]]:
            with (
                self._under_way(request_type, name) as pending,
                original(request_type, name, *rest, **more) as meta,
            ):
                pending.is_ending = False
                try:
                    yield meta
                except GreenletExit:
                    self._killed(pending)  # Locust would report a success
                    raise
                finally:
                    pending.is_ending = True

        return measure

    @contextmanager
    def _under_way(self, method: str, name: str) -> Iterator[PendingRequest]:
        """A request from its begin until its answer, or until it broke off."""
        greenlet = gevent.getcurrent()
        outer = self._current.get(greenlet)
        pending = PendingRequest(method, name, self._lane(greenlet))
        self._current[greenlet] = pending
        self._open.add(pending)
        try:
            yield pending
        except GreenletExit:
            self._killed(pending)
            raise
        except BaseException as error:
            self._end(pending, monotonic_ns() - pending.start_ns, error)
            raise
        finally:
            self._open.discard(pending)
            if outer is None:
                del self._current[greenlet]
            else:
                self._current[greenlet] = outer

    def _await_event(self, pending: PendingRequest, answer: Any) -> None:
        """Answered, and reported when its `with` block ends; if its answer is dropped before, never."""
        pending.took_ns = monotonic_ns() - pending.start_ns
        response = answer.request_meta["response"]
        pending.error = getattr(response, "error", None)
        key = id(response)

        def drop(_: Any) -> None:
            if self._answered.get(key) is pending:
                self._abandoned.append(self._answered.pop(key))

        pending.answer = weakref.ref(response, drop)
        self._answered[key] = pending

    def _on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        exception: Any = None,
        response: Any = None,
        **_: Any,
    ) -> None:
        greenlet = gevent.getcurrent()
        pending = self._answered.pop(id(response), None) if response is not None else None
        if pending is None:
            current = self._current.get(greenlet)
            pending = current if current is not None and current.is_ending else None
        is_timed = response_time is not None and math.isfinite(response_time)
        took_ns = round(response_time * NS_PER_MS) if response_time is not None and is_timed else None
        status = getattr(response, "status_code", None)
        status = status if isinstance(status, int) else None
        error = exception if isinstance(exception, BaseException) or not exception else Unreported(exception)
        if pending is not None:
            pending.method, pending.name = request_type, name
            took_ns = monotonic_ns() - pending.start_ns if took_ns is None else took_ns
            self._end(pending, took_ns, error, status)
            return
        self.only_reported += 1
        if took_ns is None:
            self.without_time += 1
            return
        start_ns = monotonic_ns() - took_ns
        self._recorder.record(
            request_type, name, start_ns, took_ns, error, self._lane(greenlet), status=status
        )

    # --- ends ------------------------------------------------------------------------------------

    def _end(self, pending: PendingRequest, took_ns: int, error: Any, status: int | None = None) -> None:
        if not pending.has_ended:
            pending.has_ended = True
            self._recorder.record(
                pending.method, pending.name, pending.start_ns, took_ns, error, pending.lane, status=status
            )

    def _killed(self, pending: PendingRequest) -> None:
        """Ended by us or by the locustfile, without an answer: a timeout if it had its time."""
        self._open.discard(pending)
        if pending.has_ended:
            return
        pending.has_ended = True
        took_ns = monotonic_ns() - pending.start_ns
        outcome = Outcome.TIMEOUT if took_ns >= self._deadline_ns else Outcome.RESET
        error = Unreported("its user was stopped before the answer")
        self._recorder.record(
            pending.method, pending.name, pending.start_ns, took_ns, error, pending.lane, outcome=outcome
        )

    def _lane(self, greenlet: Any) -> int:
        lane = self._lanes.get(greenlet)
        if lane is None:
            lane = self._lanes[greenlet] = next(self._numbers)
        return lane


def _text(method: Any) -> str:
    return method.decode("ascii", "replace") if isinstance(method, bytes) else str(method)


def _path(url: Any) -> str:
    """The name that Locust gives a request which has none: path and query, of an absolute URL too."""
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else str(url)
    if "://" not in text:
        return text
    parts = urlsplit(text)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
