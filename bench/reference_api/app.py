"""The reference API put together."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.metrics import Metrics, collect_often
from bench.reference_api.monitor import Ending, HealthMonitor, observability_router, product_version
from bench.reference_api.resilience import CACHE_SHARE, DATABASE_END
from bench.reference_api.responses import App, DeadlineMiddleware, add_error_responses
from bench.reference_api.routes import carts_router, items_router, orders_router
from bench.reference_api.settings import Settings

FIRST_LOOK_S = 5.0
"""How long the start waits for Redis and Postgres; the monitors continue after that."""
CLOSE_S = 0.2


def create_app(settings: Settings, ending: Ending | None = None) -> App:
    """The ASGI application. It opens no connection before its start-up event."""
    cache, database, metrics = Cache(settings), Database(settings), Metrics()
    monitors = {
        "redis": HealthMonitor(cache, timeout_s=CACHE_SHARE * settings.deadline_s),
        "postgres": HealthMonitor(
            database, timeout_s=DATABASE_END * settings.deadline_s, prepare=database.prepare
        ),
    }

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(monitor.run()) for monitor in monitors.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_S):
                for monitor in monitors.values():
                    await monitor.has_looked.wait()
        # What is there now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        metrics.pauses.watch()
        if settings.heap:
            tasks.append(asyncio.create_task(collect_often(settings.heap, settings.collect_s)))
        yield
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*tasks, cache.close(), database.close(), return_exceptions=True)

    app = FastAPI(
        title="Holdfast reference API",
        summary="A small shop that load and faults can be tried on.",
        version=product_version(),
        lifespan=lifespan,
    )
    add_error_responses(app)
    app.include_router(items_router(cache, database, metrics))
    app.include_router(orders_router(cache, database))
    app.include_router(carts_router(settings, cache, database))
    app.include_router(observability_router(cache, database, metrics, monitors, ending or Ending()))
    return DeadlineMiddleware(app, metrics, settings.deadline_s)
