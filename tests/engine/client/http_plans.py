"""Plans for an HTTP target."""

from __future__ import annotations

from typing import Any

from bench.plan.plan import Plan
from tests.helpers.client_runs import plan_of

GET = {"get": {"request": {"path": "/items/{item}"}}}
ITEMS = {"item": {"count": 1000}}
SHORT = {"short": "500ms"}


def http_plan(**workload: Any) -> Plan:
    """200 GETs a second for half a second through 10 connections."""
    usual: dict[str, Any] = {
        "driver": "http",
        "target": "api",
        "keys": None,
        "operations": GET,
        "parameters": ITEMS,
        "phases": SHORT,
    }
    return plan_of(**(usual | workload))
