"""The sampler beside real servers: running, stopped, killed."""

import os
import signal
import time

import psycopg
import pytest

from bench.resources.services.postgres import APPLICATION, PostgresActivity
from bench.results.layout import COLUMNS
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.stack import Stack
from bench.stack.target import Target, TargetDescription
from tests.resources.sampled import sampling, stopped

pytestmark = pytest.mark.timeout(300)


def pid_of(stack: Stack, name: str) -> int:
    return next(int(entry.pid) for entry in stack.describe() if entry.name == name)


def test_every_source_has_rows_with_its_figures(stack: Stack) -> None:
    with sampling(stack) as found:
        found.until(
            lambda: (
                any("commits" in row for row in found.of("postgres"))
                and any("used_memory_bytes" in row for row in found.of("redis"))
            ),
            "figures of both services",
        )
    for row in found.rows:
        assert set(row) <= set(COLUMNS)
        assert row["phase"] == "steady"
    redis, postgres = found.of("redis")[-1], found.of("postgres")[-1]
    assert redis["pid"] == pid_of(stack, "redis")
    assert redis["rss_bytes"] > 1_000_000
    assert any((row.get("fds") or 0) > 3 for row in found.of("redis"))
    assert postgres["processes"] > 3
    assert any((row.get("pss_bytes") or 0) > 1_000_000 for row in found.of("postgres"))
    generator = found.of("generator")[-1]
    assert generator["pid"] == os.getpid()
    assert generator["processes"] == 1
    assert found.of("machine")[-1]["cores"] == os.cpu_count()
    times = [row["at_ns"] for row in found.of("machine")]
    assert times == sorted(set(times))


def test_a_stopped_server_does_not_hold_up_the_samples(stack: Stack) -> None:
    with sampling(stack) as found, stopped(pid_of(stack, "redis")), stopped(pid_of(stack, "postgres")):
        before = len(found.of("machine"))
        found.until(lambda: len(found.of("machine")) >= before + 8, "samples beside stopped servers")
        gaps = [
            later["at_ns"] - earlier["at_ns"]
            for earlier, later in zip(found.of("redis")[:-1], found.of("redis")[1:], strict=True)
        ]
        # Its processes are still there, and a sample waits 50 ms at most for what they will not say.
        assert "rss_bytes" in found.of("redis")[-1]
        assert "used_memory_bytes" not in found.of("redis")[-1]
        assert sorted(gaps)[len(gaps) // 2] < 400_000_000


def test_what_a_postgres_says_comes_back_when_it_was_stopped(stack: Stack) -> None:
    with sampling(stack) as found:
        found.until(lambda: any("commits" in row for row in found.of("postgres")), "its figures")
        with stopped(pid_of(stack, "postgres")):
            before = len(found.of("machine"))
            found.until(lambda: len(found.of("machine")) >= before + 3, "samples beside it")
        seen = len(found.of("postgres"))
        found.until(lambda: any("commits" in row for row in found.of("postgres")[seen:]), "its figures again")


def test_a_restarted_server_has_another_pid_and_is_asked_again(stack: Stack) -> None:
    with sampling(stack) as found:
        found.until(lambda: any("used_memory_bytes" in row for row in found.of("redis")), "its figures")
        old = pid_of(stack, "redis")
        os.kill(old, signal.SIGKILL)
        found.until(lambda: found.of("redis")[-1].get("pid") not in (old, None), "another process")
        seen = len(found.of("redis"))
        found.until(
            lambda: any("used_memory_bytes" in row for row in found.of("redis")[seen:]), "its figures again"
        )


def test_the_monitor_adds_no_transactions_to_the_database_under_load(stack: Stack) -> None:
    target = stack.targets()["postgres"]
    watching = PostgresActivity(target)
    try:
        first = watching.ask()
        assert first["idle"] == 0
        with psycopg.connect(
            host=target.host, port=target.port, user=target.username, password=target.password,
            dbname=target.database or None, autocommit=True,
        ) as connection:  # fmt: skip
            names = connection.execute("SELECT DISTINCT application_name FROM pg_stat_activity").fetchall()
            assert (APPLICATION,) in names
            limit = time.monotonic() + 30
            while watching.ask()["idle"] < 1:
                assert time.monotonic() < limit
        limit = time.monotonic() + 30
        before, later = 0.0, 1.0
        while later != before and time.monotonic() < limit:  # statistics of the ended session trickle in
            before = watching.ask()["commits"]
            for _ in range(50):
                later = watching.ask()["commits"]
        assert later == before
    finally:
        watching.close()


class Nobody:
    """A stack whose only target is not there."""

    def targets(self) -> dict[str, Target]:
        return {"redis": Target("redis", "redis", "127.0.0.1", free_loopback_port())}

    def describe(self) -> list[TargetDescription]:
        return [TargetDescription("redis", "redis", "127.0.0.1:1", "", "", "not by us", "down")]


def test_a_server_that_is_not_there_has_no_row_and_is_no_failure() -> None:
    with sampling(Nobody()) as found:
        found.until(lambda: len(found.of("machine")) > 3, "samples")
    assert found.sampler.failure is None
    assert found.of("redis") == []
    assert len(found.of("generator")) == len(found.of("machine"))


def test_what_sampling_costs_is_part_of_the_record(stack: Stack) -> None:
    with sampling(stack) as found:
        found.until(lambda: len(found.of("machine")) > 5, "samples")
    facts = found.sampler.record()
    assert facts.samples == len(found.of("machine"))
    assert facts.interval_ns == 100_000_000
    assert 0 < facts.cpu_ns_per_sample < facts.longest_ns * 100
    assert facts.failure is None
