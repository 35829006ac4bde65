"""Rules about resources: their sources, their units, and how they are refused."""

import pytest

from bench.core.units import format_quantity, quantity
from bench.scenario.rules.grammar import RuleError, parse_rule
from bench.scenario.rules.metrics import Outline, check_rule, metrics_of_outlines

CACHE = Outline("cache", "wire", ("get",), "redis")
FRONT = Outline("front", "wire", ("load",), "api")
NOTHING = Outline("idle", "wire", ("noop",))


@pytest.mark.parametrize(
    "text",
    [
        "memory_growth < 100MB warn 75MB",
        "redis.memory_growth < 100MB",
        "generator.memory_growth < 1GiB",
        "memory_slope < 1MB/min",
        "redis.memory_slope <= 0.5MiB/h",
        "cpu < 80%",
        "redis.cpu < 80%",
        "generator.cpu < 80%",
        "machine.cpu < 90%",
        "fd_growth <= 10",
        "generator.fd_growth == 0",
    ],
)
def test_a_target_the_generator_and_the_machine_are_sources(text: str) -> None:
    check_rule(parse_rule(text), metrics_of_outlines([CACHE]))


@pytest.mark.parametrize("source", ["api", "redis", "postgres", "generator"])
def test_the_api_brings_what_is_behind_it(source: str) -> None:
    metrics = metrics_of_outlines([FRONT])
    check_rule(parse_rule(f"{source}.memory_growth < 1MB"), metrics)
    check_rule(parse_rule(f"{source}.cpu < 50%"), metrics)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres.memory_growth < 1MB", "a metric of this scenario"),
        ("cache.memory_growth < 1MB", "a metric of this scenario"),
        ("machine.memory_growth < 1MB", "a metric of this scenario"),
        ("redis.get.memory_growth < 1MB", "a metric of this scenario"),
        ("memory_growth.max < 1MB", "a metric of this scenario"),
        ("memory_growth < 1MB/min", "a size such as 100MB"),
        ("memory_slope < 1MB", "a growth such as 1MB/min"),
        ("memory_slope < 5/min", "a growth such as 1MB/min"),
        ("cpu < 80", "a percentage such as 1%"),
        ("cpu < 120%", "a percentage of at most 100%"),
        ("fd_growth < 1MB", "a plain count such as 0"),
    ],
)
def test_a_rule_about_something_else_is_refused(text: str, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule(text), metrics_of_outlines([CACHE]))
    assert refused.value.expected.startswith(expected)


def test_a_wrong_source_is_told_with_those_there_are() -> None:
    with pytest.raises(RuleError) as refused:
        check_rule(parse_rule("reddis.memory_growth < 1MB"), metrics_of_outlines([CACHE]))
    assert "memory_growth, memory_slope, fd_growth (alone for the whole run, or after redis, generator)" in (
        refused.value.expected
    )
    assert refused.value.advice == "write redis.memory_growth if that was meant"


def test_without_a_target_only_generator_and_machine_are_left() -> None:
    metrics = metrics_of_outlines([NOTHING])
    assert "memory_growth" not in metrics
    assert "generator.memory_growth" in metrics
    assert "machine.cpu" in metrics


def test_a_workload_may_be_named_like_a_source() -> None:
    metrics = metrics_of_outlines([Outline("redis", "wire", ("get",), "redis")])
    assert {"redis.memory_growth", "redis.response.pNN", "redis.get.errors"} <= metrics.keys()


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("60kB/min", 1000), ("1MB/s", 1e6), ("3600B/h", 1), ("1KiB/s", 1024), ("0.6MB/min", 10_000)],
)
def test_a_growth_is_a_size_per_time(text: str, bytes_per_s: float) -> None:
    assert quantity(text) == (bytes_per_s, "bytes_per_s")


@pytest.mark.parametrize("text", ["1MB/d", "1MB/", "1/MB", "1MB/min/s"])
def test_another_unit_is_no_growth(text: str) -> None:
    with pytest.raises(ValueError, match="unknown unit"):
        quantity(text)


@pytest.mark.parametrize(
    ("bytes_per_s", "text"), [(0, "0 B/min"), (1e6 / 60, "1.00 MB/min"), (-20_000, "-1.20 MB/min")]
)
def test_a_growth_reads_per_minute(bytes_per_s: float, text: str) -> None:
    assert format_quantity(bytes_per_s, "bytes_per_s") == text
