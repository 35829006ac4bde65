"""How many arrivals a share must be made of before its limit can be told from its neighbours."""

from __future__ import annotations

import math

SHARES_OF_FEW = frozenset({"errors", "misses", "empty", "status.3xx", "status.4xx", "status.5xx"})
SHARES_OF_MOST = frozenset({"availability", "hits", "status.2xx"})
"""Metrics whose limit is a share of all: near 0, and near 1."""
RULE_OF_THREE = 3
"""0 failures of n allow a true share of up to 3/n (95 %): n must be at least 3/limit to speak of limit."""


def arrivals_needed(metric: str, limit: float) -> int | None:
    """The least number of arrivals; None where the metric is no share or its limit leaves nothing over."""
    if metric in SHARES_OF_FEW:
        allowed = limit
    elif metric in SHARES_OF_MOST:
        allowed = 1 - limit
    else:
        return None
    return math.ceil(RULE_OF_THREE / allowed - 1e-6) if allowed > 0 else None
