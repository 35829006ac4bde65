"""How every request is answered: in one form, counted when it has ended, and never later than its
deadline.

The deadline is plain ASGI rather than a middleware of the framework: those start a task for every
request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from bench.reference_api.metrics import Metrics
from bench.reference_api.resilience import Deadline, RejectedError, UnavailableError


def json_bytes(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON is made already."""
    return Response(body, status, headers, "application/json")


def add_error_responses(app: FastAPI) -> None:
    """Tell the framework how the API refuses."""
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(RejectedError, _rejected)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _unavailable(_: Request, error: Exception) -> Response:
    assert isinstance(error, UnavailableError)
    headers = {"Retry-After": str(error.retry_after_s)}
    return JSONResponse({"detail": str(error)}, 503, headers)


async def _rejected(_: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    return JSONResponse({"detail": str(error)}, error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    """What was sent is not repeated: it may be long, and it may be no text at all."""
    assert isinstance(error, RequestValidationError)
    places = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
    detail = "; ".join(f"{place}: {message}" for place, message in places)
    return JSONResponse({"detail": detail.encode(errors="replace").decode()}, 422)


Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_KEY = "holdfast.deadline"
CLIENT_GONE = 499
"""How a request is counted whose client did not wait for the answer. Nobody ever receives it."""


def deadline_of(request: Request) -> Deadline:
    """When this request must be answered."""
    return cast("Deadline", request.scope[_KEY])


class DeadlineMiddleware:
    """An ASGI application around another one. No answer comes later than `deadline_s` after the request."""

    def __init__(self, app: App, metrics: Metrics, deadline_s: float) -> None:
        self._app = app
        self._metrics = metrics
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin_s = time.monotonic()
        deadline = scope[_KEY] = Deadline(self._deadline_s)
        exchange = _Exchange(receive, send)
        self._metrics.in_flight += 1
        try:
            async with asyncio.timeout_at(deadline.end_s):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if exchange.is_body_read:
                await exchange.end(503, "not answered within the deadline")
            else:
                await exchange.end(408, "the request's body did not come within the deadline")
        except asyncio.CancelledError:  # only the server's own end cancels a request
            await exchange.end(503, "the server is ending")
        finally:
            self._metrics.in_flight -= 1
            # Known once the route was found, so a path that does not exist makes no new label.
            route = getattr(scope.get("route"), "path", "unknown")
            duration_s = time.monotonic() - begin_s
            self._metrics.count(scope["method"], route, exchange.status, duration_s)
        if exchange.is_client_gone:
            await exchange.await_end_of_client(deadline.end_s)


class _Exchange:
    """Notes how far a request and its answer have come."""

    __slots__ = ("_receive", "_send", "is_body_read", "is_client_gone", "status")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.status = 0
        """0 until there is one."""
        self.is_body_read = True
        self.is_client_gone = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        self.is_body_read = False
        message = await self._receive()
        self.is_body_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self.is_client_gone:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        try:
            await self._send(message)
        except RuntimeError as error:
            if "closed" not in str(error):
                raise
            self.is_client_gone = True
            self.status = CLIENT_GONE

    async def await_end_of_client(self, end_s: float) -> None:
        """Return when the server knows too that the client is gone: else it takes the missing answer for
        a bug of ours, and says so in its log.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end_s):
                while (await self._receive())["type"] != "http.disconnect":
                    pass

    async def end(self, status: int, because: str) -> None:
        """Answer, if there is no answer yet. An answer that has begun is cut off by the server."""
        if self.status:
            return
        body = b'{"detail":"%s"}' % because.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"1"),
            # What is left of the request's body would be taken for the next request.
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
