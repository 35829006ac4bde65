"""A server that says no to a log-in: the advice is for what it said, in both engines' drivers."""

import asyncio
import socket
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.drivers.postgres import connection as postgres_refusal
from bench.drivers.redis import wire as redis_refusal
from bench.drivers.redis.wire import log_in
from bench.engine.wire.dialler import Stream
from bench.scenario.load import load_scenario
from bench.stack.target import Target

SCENARIO = Path(__file__).parents[2] / "scenarios" / "redis_latency.yaml"


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("LOADING Redis is loading the dataset in memory", "wait until it has loaded"),
        ("MASTERDOWN Link with MASTER is down", "primary"),
        ("BUSY Redis is busy running a script", "SCRIPT KILL"),
        ("NOAUTH Authentication required.", "put the password into the URL"),
        ("WRONGPASS invalid username-password pair", "check the user and the password"),
        ("NOPERM User app has no permissions", "the right"),
        ("ERR max number of clients reached", "maxclients"),
        ("ERR DB index is out of range", "number of the database"),
        ("ERR something of its own", "log"),
    ],
)
def test_a_redis_that_refuses_a_log_in_gets_advice_for_what_it_said(answer: str, advice: str) -> None:
    assert advice in redis_refusal.advice_for_refusal(answer)


@pytest.mark.parametrize(
    ("said", "sqlstate", "advice"),
    [
        ("FATAL: the database system is starting up", None, "wait until"),
        ("the database system is not yet accepting connections", "57P03", "wait until"),
        ("FATAL: sorry, too many clients already", None, "max_connections"),
        ('FATAL: password authentication failed for user "app"', None, "password"),
        ('database "shop" does not exist', "3D000", "check the database"),
        ('no pg_hba.conf entry for host "10.0.0.1"', "28000", "pg_hba.conf"),
        ("something of its own", "XX000", "log"),
    ],
)
def test_a_postgres_that_refuses_a_log_in_gets_advice_for_what_it_said(
    said: str, sqlstate: str | None, advice: str
) -> None:
    assert advice in postgres_refusal.advice_for_refusal(said, sqlstate)


def test_a_redis_that_is_loading_is_not_said_to_have_refused_a_password() -> None:
    ours, servers = socket.socketpair()
    ours.setblocking(False)
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    with ours, servers:
        servers.sendall(loading * 2)
        target = Target("redis", "redis", "127.0.0.1", 6379)
        workload = load_scenario(SCENARIO).scenario.workloads[0]
        with pytest.raises(TargetError, match="LOADING") as refused:
            asyncio.run(log_in(Stream(ours), target, workload))
    assert "wait until it has loaded its data" in str(refused.value)
    assert "password" not in str(refused.value)
