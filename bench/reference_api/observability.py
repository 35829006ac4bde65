"""`/health` and `/metrics`: answered from memory, so they are quick whatever hangs."""

from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from bench.reference_api.cache import Cache
from bench.reference_api.database import Database
from bench.reference_api.health_monitor import Watch
from bench.reference_api.metrics import Metrics

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
