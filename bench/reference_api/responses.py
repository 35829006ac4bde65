"""Answers of the API: bytes that are ready, and refusals in the one form `{"detail": sentence}`."""

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from bench.reference_api.refusals import Away, Refused


def json_bytes(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose JSON is made already."""
    return Response(body, status, headers, "application/json")


def add_refusals(app: FastAPI) -> None:
    """Tell the framework how the API refuses."""
    app.add_exception_handler(Away, _away)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _away(_: Request, error: Exception) -> Response:
    assert isinstance(error, Away)
    headers = {"Retry-After": str(error.retry_after_s)}
    return JSONResponse({"detail": str(error)}, 503, headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"detail": str(error)}, error.status)


async def _invalid(_: Request, error: Exception) -> Response:
    """What was sent is not repeated: it may be long, and it may be no text at all."""
    assert isinstance(error, RequestValidationError)
    places = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
    detail = "; ".join(f"{place}: {message}" for place, message in places)
    return JSONResponse({"detail": detail.encode(errors="replace").decode()}, 422)
