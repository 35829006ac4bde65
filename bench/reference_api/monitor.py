"""Monitors the components in the background, and answers `/health` and `/metrics` from memory."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.metrics import Metrics
from bench.reference_api.resilience import Away, Guard, in_words

PERIOD_S = 1.0


class Component(Protocol):
    """What the watch needs of a component."""

    guard: Guard

    async def ping(self) -> None:
        """A round trip."""

    async def renew(self) -> None:
        """Drop connections that may lead nowhere."""


class Watch:
    """Asks every second, tries when a circuit may be tried, and has the answer to `/health` ready."""

    def __init__(
        self,
        component: Component,
        *,
        timeout_s: float,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.has_looked = asyncio.Event()
        """Set when the first look is over, whatever was seen."""
        self._component = component
        self._timeout_s = timeout_s
        self._prepare = prepare
        self._is_up = False
        self._latency_ms: float | None = None
        self._error: str | None = "not looked at yet"

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was last asked, and no circuit has opened since."""
        return self._is_up and not self._component.guard.opened.is_set()

    def describe(self) -> dict[str, Any]:
        """The component's part of `/health`."""
        entry: dict[str, Any] = {
            "state": "up" if self.is_up else "down",
            "breaker": self._component.guard.state,
            "latency_ms": self._latency_ms if self.is_up else None,
        }
        if not self.is_up:
            entry["because"] = self._error or self._component.guard.because
        return entry

    async def run(self) -> None:
        """Until cancelled."""
        guard = self._component.guard
        while True:
            try:
                await self._look()
            except Exception:  # the watch must not end: nobody else closes a circuit
                logging.getLogger(__name__).exception("the watch over %s", guard.component)
                self._is_up = False
            self.has_looked.set()
            if guard.opened.is_set():
                await asyncio.sleep(max(guard.until_trial_s(), 0.01))
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD_S):
                        await guard.opened.wait()

    async def _look(self) -> None:
        guard = self._component.guard
        if guard.state == "open":
            return
        end_s = asyncio.get_running_loop().time() + self._timeout_s
        begin_s = time.monotonic()
        try:
            if guard.state == "half_open":
                await guard.trial(end_s, self._ping_anew)
            else:
                await guard.call(end_s, self._component.ping)
        except Away as away:
            self._is_up, self._error = False, str(away)
            return
        self._latency_ms = round((time.monotonic() - begin_s) * 1e3, 3)
        if self._prepare is not None:
            try:
                await self._prepare()
            except Exception as error:  # noqa: BLE001 - told in /health, and tried again in a second
                self._is_up, self._error = False, f"its schema cannot be made: {in_words(error)}"
                return
        self._is_up, self._error = True, None

    async def _ping_anew(self) -> None:
        await self._component.renew()
        await self._component.ping()


PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def product_version() -> str:
    """The installed version, or that of a checkout."""
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "checkout"


def insight_router(
    cache: Cache, database: Database, metrics: Metrics, watches: dict[str, Watch]
) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["insight"])
    release = product_version()

    @router.get("/health", summary="How the API and what it needs are: ok, degraded or down")
    async def health() -> Response:
        up = sum(watch.is_up for watch in watches.values())
        status = "ok" if up == len(watches) else "degraded" if up else "down"
        content = {
            "status": status,
            "uptime_s": round(metrics.uptime_s, 3),
            "version": release,
            "components": {name: watch.describe() for name, watch in watches.items()},
        }
        return JSONResponse(content, 503 if status == "down" else 200)

    @router.get("/metrics", summary="Counters for Prometheus")
    async def metrics_text() -> Response:
        text = metrics.render(
            (cache.guard, database.guard), (cache.slots, database.slots), len(cache.unsettled)
        )
        return Response(text, media_type=PROMETHEUS)

    return router
