"""The JSON in which the processes that we start ourselves report their turn."""

from __future__ import annotations

import json
import math

from tests.benchmarks.peers.contestant import Result, TurnFailed

FIELDS = ("requests", "seconds", "mean_ns", "p50_ns", "p99_ns", "cpu_s")
ROUNDED = ("p50_ns", "p99_ns")


def result_of(text: str) -> Result:
    """Read one report: an object with exactly FIELDS, all above 0. Raises TurnFailed.

    Percentiles may be 0: Locust rounds them to whole milliseconds.
    """
    try:
        report = json.loads(text)
    except ValueError:
        raise TurnFailed(f"expected a report in JSON, found {text[:120]!r}") from None
    if not isinstance(report, dict) or set(report) != set(FIELDS):
        raise TurnFailed(f"expected a report with {', '.join(FIELDS)}, found {text[:120]!r}")
    for name, value in report.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0 or (value == 0 and name not in ROUNDED):
            raise TurnFailed(f"expected {name} above 0, found {value!r}")
    return Result(**{**report, "requests": int(report["requests"])})
