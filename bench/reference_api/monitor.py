"""Monitors the components in the background, and answers `/health` and `/metrics` from memory."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import NotRequired, Protocol, TypedDict

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.metrics import Metrics
from bench.reference_api.resilience import ComponentBreaker, UnavailableError, in_words

PERIOD_S = 1.0


class Component(Protocol):
    """What the monitor needs of a component."""

    breaker: ComponentBreaker

    async def ping(self) -> None:
        """A round trip."""

    async def renew(self) -> None:
        """Drop connections that may lead nowhere."""


class ComponentHealth(TypedDict):
    """What `/health` says of a component."""

    state: str
    """up or down."""
    breaker: str
    latency_ms: float | None
    because: NotRequired[str]
    """Why it is down."""


class HealthMonitor:
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
        return self._is_up and not self._component.breaker.opened.is_set()

    def describe(self) -> ComponentHealth:
        """The component's part of `/health`."""
        health = ComponentHealth(
            state="up" if self.is_up else "down",
            breaker=self._component.breaker.state,
            latency_ms=self._latency_ms if self.is_up else None,
        )
        if not self.is_up:
            health["because"] = self._error or self._component.breaker.because
        return health

    async def run(self) -> None:
        """Until cancelled."""
        breaker = self._component.breaker
        while True:
            try:
                await self._look()
            except Exception:  # the monitor must not end: nothing else closes a circuit
                logging.getLogger(__name__).exception("the monitor of %s", breaker.component)
                self._is_up = False
            self.has_looked.set()
            if breaker.opened.is_set():
                await asyncio.sleep(max(breaker.until_trial_s(), 0.01))
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD_S):
                        await breaker.opened.wait()

    async def _look(self) -> None:
        breaker = self._component.breaker
        if breaker.state == "open":
            return
        end_s = asyncio.get_running_loop().time() + self._timeout_s
        begin_s = time.monotonic()
        try:
            if breaker.state == "half_open":
                await breaker.trial(end_s, self._ping_anew)
            else:
                await breaker.call(end_s, self._component.ping)
        except UnavailableError as error:
            self._is_up, self._error = False, str(error)
            return
        self._latency_ms = round((time.monotonic() - begin_s) * 1e3, 3)
        if self._prepare is not None:
            try:
                await self._prepare()
            except Exception as error:  # noqa: BLE001 - reported in /health, and tried again in a second
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


@dataclass
class Ending:
    """Whether the process was asked to end, and serves only what still comes."""

    is_near: bool = False


def observability_router(
    cache: Cache, database: Database, metrics: Metrics, monitors: dict[str, HealthMonitor], ending: Ending
) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["observability"])
    release = product_version()

    @router.get("/health", summary="How the API and what it needs are: ok, degraded, draining or down")
    async def health() -> Response:
        up = sum(monitor.is_up for monitor in monitors.values())
        status = "ok" if up == len(monitors) else "degraded" if up else "down"
        status = "draining" if ending.is_near else status
        content = {
            "status": status,
            "uptime_s": round(metrics.uptime_s, 3),
            "version": release,
            "components": {name: monitor.describe() for name, monitor in monitors.items()},
        }
        return JSONResponse(content, 503 if status in ("down", "draining") else 200)

    @router.get("/metrics", summary="Counters for Prometheus")
    async def metrics_text() -> Response:
        text = metrics.render(
            (cache.breaker, database.breaker), (cache.bulkhead, database.bulkhead), len(cache.unsettled)
        )
        return Response(text, media_type=PROMETHEUS)

    return router
