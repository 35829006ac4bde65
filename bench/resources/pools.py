"""How much of the connection pools is in use, all client engines together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.engine.api import Engine


def pool_use(engines: Sequence[Engine]) -> dict[str, Any]:
    """Columns for the generator's row: connections in use and in all; none where there is no pool."""
    in_use, size = 0, 0
    for engine in engines:
        workload = engine.plan.workload
        if workload.engine == "client":
            in_use += engine.live().pool_in_use or 0
            size += workload.pool
    return {"pool_in_use": in_use, "pool_size": size} if size else {}
