"""What must be shown before production, as data: each requirement with the rules of scenarios that show
it.

All proofs of a requirement must hold. A proof is judged by the rule that stands here, on the run of
the scenario named, whatever the scenario's own file asks: a softened scenario file ticks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.registry import DRIVERS
from bench.scenario.rules.grammar import Rule, parse_rule

NO_LIMIT = "1h"
"""The highest time that a histogram holds: what is only to be recorded is judged against it."""


@dataclass(frozen=True)
class Proof:
    """A rule, and the scenario whose run shows it."""

    scenario: str
    rule: str
    """In the grammar of rules; a time without a limit ("cache.response.p99") is to be recorded only."""
    cycles: int = 0
    """The run must have so many cycles of load and rest in its measured time."""

    @property
    def is_recorded_only(self) -> bool:
        """Whether the figure needs to be known, and no more."""
        return "<" not in self.rule and ">" not in self.rule and "==" not in self.rule

    @property
    def parsed(self) -> Rule:
        """The rule to judge by. Raises RuleError."""
        return parse_rule(f"{self.rule} <= {NO_LIMIT}" if self.is_recorded_only else self.rule)


@dataclass(frozen=True)
class Requirement:
    """One line of the acceptance criteria."""

    key: str
    area: str
    demand: str
    proofs: tuple[Proof, ...] = ()
    kind: str | None = None
    """Of a health requirement: the kind of target that must be up."""
    number: int = 1
    """How many targets of that kind."""
    capacity: str | None = None
    """Of a capacity requirement: its entry in `CAPACITIES`."""
    where_used: bool = False
    """Only where the system has such a part: not to have looked at it is a warning and no more."""


@dataclass(frozen=True)
class Capacity:
    """A rate that production needs, and the workloads that can show how much more there is."""

    key: str
    subject: str
    drivers: tuple[str, ...]
    unit: str
    scenario: str
    """The scenario that says most about it."""
    required_per_s: float | None
    """None: the acceptance criteria name none; what was reached is shown all the same."""


LEAST_HEADROOM = 0.5
FLAGS = (0.7, 0.8)
"""Shares of a validated limit from which on a figure is flagged."""


def drivers_of(capacity: str) -> tuple[str, ...]:
    """The drivers whose runs show a capacity."""
    return tuple(driver.name for driver in DRIVERS.values() if driver.capacity == capacity)


CAPACITIES = (
    Capacity("redis", "Redis", drivers_of("redis"), "operations", "redis_throughput", 1000),
    Capacity("pubsub", "Redis pub/sub", drivers_of("pubsub"), "messages published", "redis_pubsub", None),
    Capacity("postgres", "Postgres", drivers_of("postgres"), "operations", "postgres_mixed", 20),
    Capacity("api", "API", drivers_of("api"), "requests", "api_load", 50),
)

REDIS, PUBSUB, MEMORY, CPU = "Redis", "Redis pub/sub", "Memory", "CPU"
POSTGRES, API, POOLS = "Postgres", "API", "Connection pools"
INTERRUPTION, STORM, HEALTH, CAPACITY = "Service interruption", "Error storm", "Health", "Capacity"

REQUIREMENTS = (
    Requirement(
        "redis-p95",
        REDIS,
        "P95 below 10 ms, alert from 8 ms",
        (
            Proof("redis_latency", "cache.response.p95 < 10ms warn 8ms"),
            Proof("redis_client", "app.response.p95 < 10ms warn 8ms"),
        ),
    ),
    Requirement(
        "p50",
        "Every component",
        "P50 below 50 ms",
        (
            Proof("redis_latency", "cache.response.p50 < 50ms"),
            Proof("redis_pubsub", "messages.end_to_end.p50 < 50ms"),
            Proof("postgres_mixed", "shop.response.p50 < 50ms"),
            Proof("api_load", "web.response.p50 < 50ms"),
        ),
    ),
    Requirement("redis-p99", REDIS, "P99 recorded", (Proof("redis_latency", "cache.response.p99"),)),
    Requirement(
        "redis-throughput",
        REDIS,
        "at least 1000 messages per second, sustained",
        (
            Proof("redis_latency", "cache.throughput >= 1000/s"),
            Proof("redis_throughput", "cache.throughput >= 1000/s"),
        ),
    ),
    Requirement(
        "pubsub-p95",
        PUBSUB,
        "end-to-end P95 below 10 ms",
        (Proof("redis_pubsub", "messages.end_to_end.p95 < 10ms"),),
    ),
    Requirement(
        "pubsub-messages",
        PUBSUB,
        "no message lost, repeated or out of order",
        (
            Proof("redis_pubsub", "messages.lost_messages == 0"),
            Proof("redis_pubsub", "messages.duplicate_messages == 0"),
            Proof("redis_pubsub", "messages.reordered_messages == 0"),
        ),
    ),
    Requirement(
        "memory-growth",
        MEMORY,
        "growth below 100 MB over at least 50 cycles of load, alert from 75 MB",
        (Proof("memory_growth", "redis.memory_growth < 100MB warn 75MB", cycles=50),),
    ),
    Requirement(
        "memory-slope",
        MEMORY,
        "no leak by slope",
        (Proof("memory_growth", "redis.memory_slope < 10MB/min", cycles=50),),
    ),
    Requirement(
        "cpu",
        CPU,
        "below 80 % on average under load",
        (
            Proof("redis_latency", "redis.cpu < 80%"),
            Proof("postgres_mixed", "postgres.cpu < 80%"),
            Proof("api_load", "api.cpu < 80%"),
            Proof("everything", "cpu < 80%"),
        ),
    ),
    Requirement(
        "postgres-throughput",
        POSTGRES,
        "more than 20 operations per second, mixed",
        (Proof("postgres_mixed", "shop.throughput > 20/s"), Proof("postgres_tpcb", "bank.throughput > 20/s")),
    ),
    Requirement(
        "postgres-p95",
        POSTGRES,
        "query P95 below 100 ms, alert from 80 ms",
        (Proof("postgres_mixed", "shop.response.p95 < 100ms warn 80ms"),),
    ),
    Requirement(
        "api-throughput",
        API,
        "more than 50 requests per second, concurrent",
        (
            Proof("api_load", "web.throughput > 50/s"),
            Proof("api_journey_client", "journey.throughput > 50/s"),
        ),
    ),
    Requirement(
        "api-p95",
        API,
        "response P95 below 500 ms, alert from 400 ms",
        (
            Proof("api_load", "web.response.p95 < 500ms warn 400ms"),
            Proof("api_journey_client", "journey.response.p95 < 500ms warn 400ms"),
        ),
    ),
    Requirement(
        "api-errors",
        API,
        "errors below 5 %, alert from 3 %",
        (
            Proof("api_load", "web.errors < 5% warn 3%"),
            Proof("api_journey_client", "journey.errors < 5% warn 3%"),
        ),
    ),
    Requirement(
        "pool-utilization",
        POOLS,
        "Redis pool of 50 below 100 % in use, alert from 80 %",
        (
            Proof("redis_client", "app.pool_utilization < 100% warn 80%"),
            Proof("pool_pressure", "app.pool_utilization < 100% warn 80%"),
        ),
    ),
    Requirement(
        "pool-leaks",
        POOLS,
        "no leaked connection",
        (
            Proof("redis_client", "app.leaked_connections == 0"),
            Proof("pool_pressure", "app.leaked_connections == 0"),
            Proof("api_journey_client", "journey.leaked_connections == 0"),
        ),
    ),
    Requirement(
        "detect",
        INTERRUPTION,
        "noticed within 6 s",
        (
            Proof("redis_kill", "detection.client_errors < 6s"),
            Proof("redis_kill", "detection.engine_event < 6s"),
            Proof("redis_crash", "detection.client_errors < 6s"),
            Proof("redis_crash", "detection.engine_event < 6s"),
            Proof("redis_pause", "detection.client_errors < 6s"),
            Proof("redis_pause", "detection.probe < 6s"),
            Proof("postgres_kill", "detection.client_errors < 6s"),
            Proof("postgres_kill", "detection.engine_event < 6s"),
            Proof("postgres_pause", "detection.client_errors < 6s"),
            Proof("postgres_pause", "detection.probe < 6s"),
            Proof("api_kill", "detection.probe < 6s"),
            Proof("api_kill", "detection.engine_event < 6s"),
            Proof("pubsub_kill", "detection.engine_event < 6s"),
        ),
    ),
    Requirement(
        "recover",
        INTERRUPTION,
        "recovered within 10 s, alert from 8 s",
        tuple(
            Proof(scenario, "recovery.stable < 10s warn 8s")
            for scenario in (
                "redis_kill",
                "redis_crash",
                "redis_pause",
                "redis_reset",
                "postgres_kill",
                "postgres_pause",
                "api_kill",
                "pubsub_kill",
            )
        ),
    ),
    Requirement(
        "availability",
        INTERRUPTION,
        "availability of at least 99.9 % over 30 days with one interruption",
        tuple(
            Proof(scenario, "availability(window=30d, incidents=1) >= 99.9%")
            for scenario in ("redis_kill", "redis_crash", "postgres_kill", "api_kill")
        ),
    ),
    Requirement(
        "data",
        INTERRUPTION,
        "all acknowledged data intact",
        (
            Proof("durability_controls", "lost_writes == 0"),
            Proof("durability_controls", "unexpected_values == 0"),
        ),
    ),
    Requirement(
        "breaker-opens",
        STORM,
        "the circuit breaker opens",
        (
            Proof("api_without_redis", "detection.breaker < 6s"),
            Proof("api_error_storm", "detection.breaker < 6s"),
        ),
    ),
    Requirement(
        "degrades",
        STORM,
        "the API degrades instead of failing",
        (
            Proof("api_without_redis", "web.errors < 5% warn 3%"),
            Proof("api_without_redis", "web.response.p95 < 500ms warn 400ms"),
            Proof("api_error_storm", "web.response.p95 < 3s"),
        ),
    ),
    Requirement(
        "breaker-closes",
        STORM,
        "the breaker closes again and all is as before",
        (
            Proof("api_without_redis", "breaker_open_time < 20s"),
            Proof("api_error_storm", "recovery.stable < 30s"),
        ),
    ),
    Requirement("health-redis", HEALTH, "Redis is up", kind="redis"),
    Requirement("health-postgres", HEALTH, "Postgres is up", kind="postgres"),
    Requirement("health-api", HEALTH, "the API is up", kind="http"),
    Requirement(
        "health-postgres-2",
        HEALTH,
        "a second Postgres (development) is up",
        kind="postgres",
        number=2,
        where_used=True,
    ),
    Requirement("health-proxy", HEALTH, "the reverse proxy is up", kind="proxy", where_used=True),
    Requirement("health-search", HEALTH, "the search service is up", kind="elasticsearch", where_used=True),
    Requirement("health-graph", HEALTH, "the graph service is up", kind="neo4j", where_used=True),
    *(
        Requirement(
            f"capacity-{one.key}",
            CAPACITY,
            f"{one.subject}: headroom of at least 50 % over {one.required_per_s:g} {one.unit} per second",
            capacity=one.key,
        )
        for one in CAPACITIES
        if one.required_per_s is not None
    ),
)
