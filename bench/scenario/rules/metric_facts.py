"""Facts about metrics: those of faults, and how many arrivals or faults a limit needs to be judged.

Most metrics of faults have a value for each fault, so their statistics are over the repeats. Without a
statistic the worst of them counts: a service that came back four times of five did not come back.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

STATS = ("pNN", "mean", "max")
RECOVERY_STAMPS = {
    "first": "first failure to first success",
    "stable": "first failure to the first success of a stable period",
    "full": "first failure to P99 and throughput as before the fault",
}
DETECTORS = {
    "client_errors": "the load's own errors",
    "probe": "the harness's own probe",
    "container_health": "the health event of the container engine",
    "engine_event": "the event of the supervisor or the container engine",
    "breaker": "the circuit breaker of the API",
    "replication": "a standby that receives nothing more, or a primary that misses one",
    "cluster": "the first node of a Redis Cluster that takes another for down (fail?, fail)",
    "sentinel": "the first Sentinel that takes a server for down (+sdown)",
}
ALERT = "alert_"
"""Before the name of an alert under `prometheus`: detection.alert_redis_down."""
PROMQL = "promql"
"""Before the name of a query there: promql.backlog.max."""


def in_order(detectors: Iterable[str]) -> list[str]:
    """Detectors as reports list them: those that every run may have, then the user's alerts."""
    found = dict.fromkeys(detectors)
    return [name for name in DETECTORS if name in found] + [name for name in found if name not in DETECTORS]


CLEAN_RATIO = 0.1
"""Where more arrivals than that fail or stall before the first fault, there is nothing to come back to."""


@dataclass(frozen=True)
class FaultMetric:
    """A metric that exists only where the scenario has faults."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    explanation: str
    per_repeat: bool = True
    """Has a value for each fault, and the statistics of those."""
    per_workload: bool = False


FAULT_METRICS = (
    *(
        FaultMetric(f"recovery.{name}", "ns", "lower", f"{text}, for each fault", per_workload=True)
        for name, text in RECOVERY_STAMPS.items()
    ),
    *(
        FaultMetric(f"detection.{name}", "ns", "lower", f"first failure to detection by {text}")
        for name, text in DETECTORS.items()
    ),
    FaultMetric("promotion", "ns", "lower", "first failure to the new primary's own word that it is one"),
    FaultMetric("downtime", "ns", "lower", "time without success, for each fault", per_workload=True),
    FaultMetric(
        "lost_writes", "count", "lower", "acknowledged writes that were not found afterwards", False, True
    ),
    FaultMetric(
        *("split_writes", "count", "lower"),
        "lost writes that were acknowledged while two servers said to be the primary",
        *(False, True),
    ),
    FaultMetric(
        *("recovery_point", "ns", "lower"),
        "how old the newest acknowledged write that a restore brought back, with all before it, was then",
        per_workload=True,
    ),
    FaultMetric("recovery_time", "ns", "lower", "from the destruction of the data until they were restored"),
    FaultMetric("replication_lag", "ns", "lower", "the longest that a standby was behind its primary", False),
    FaultMetric(
        "replication_backlog", "bytes", "lower", "the most of its log that a standby had not replayed", False
    ),
    FaultMetric("unexpected_values", "count", "lower", "values found that were never written", False, True),
    FaultMetric("false_alarms", "count", "lower", "detections of a fault that was not there", False),
    FaultMetric("breaker_open_time", "ns", "lower", "how long circuit breakers were open, in total", False),
)
BY_NAME = {metric.name: metric for metric in FAULT_METRICS}


def kills_needed(percent: float) -> int:
    """How many faults a percentile needs: so many that all of them within the limit show it with 95 %.

    If more than 1 - percent of the recoveries took longer, all of n would be within the limit with a
    chance of less than percent^n; that is 5 % at 59 for P95, at 299 for P99.
    """
    return math.ceil(math.log(0.05) / math.log(percent / 100) - 1e-9)


SUSTAINED = (
    *("response", "response_ok", "service", "lag", "pool_wait", "end_to_end"),
    *("errors", "throughput", "cpu", "memory_growth"),
)
"""Metrics that every window of a run has: rules about them may say for how long."""

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
