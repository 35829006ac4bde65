"""Every port that a run opens: on loopback alone, and what a stranger sends there disturbs nobody."""

from __future__ import annotations

import contextlib
import json
import os
import socket

import psutil
import pytest

from tests.helpers.command_line import Bench
from tests.helpers.waiting import COMPILE_S, eventually

SCENARIO = """
scenario: open_ports
purpose: opens one port of each kind
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 1
    keys: {count: 10}
    operations: {get: {command: [GET, "{key}"]}}
    arrivals: constant
    rate: 50/s
  - name: shop
    target: api
    driver: http
    lanes: 1
    operations: {look: {request: {path: /health}}}
    arrivals: constant
    rate: 10/s
phases:
  - {name: steady, for: 5s}
faults:
  - {latency: redis, delay: 1ms, at: 500ms, for: 3s}
"""
GARBAGE = (
    b"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\n\r\nhello",
    b"\xff" * 3000,
    b"*1000000000\r\n$3\r\nGET\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f" + bytes(100),
    b'{"do": "run", "scenario": "/etc/passwd"}\n',
    os.urandom(2000),
)


def family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def listening(pid: int) -> set[tuple[str, int]]:
    found = set()
    for one in family(pid):
        with contextlib.suppress(psutil.Error):
            for connection in one.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add((connection.laddr.ip, connection.laddr.port))
    return found


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_stranger_at_every_port_of_a_run_learns_nothing_and_stops_nothing(bench: Bench) -> None:
    process = bench.start(
        *("run", bench.scenario(SCENARIO), "--json", "--out", bench.results, "--prometheus", "0")
    )
    seen: set[tuple[str, int]] = set()
    try:
        started = bench.results
        eventually(
            lambda: [*started.glob(".2*.partial/run.json")] or process.poll() is not None,
            "the run has begun",
            COMPILE_S,
        )
        # Redis, Postgres, the API, the metrics, and the proxy before the Redis.
        eventually(
            lambda: len(listening(process.pid)) >= 5 or process.poll() is not None,
            "its ports are open",
            COMPILE_S,
        )
        seen = listening(process.pid)
        for address, port in seen:
            for sent in GARBAGE:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection((address, port), 5) as connection,
                ):
                    connection.sendall(sent)
                    connection.settimeout(0.05)
                    with contextlib.suppress(TimeoutError):
                        assert b"root:" not in connection.recv(65536)
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
    assert len(seen) >= 5, err
    assert {address for address, _ in seen} == {"127.0.0.1"}
    assert "Traceback" not in err
    (verdict,) = json.loads(out)
    outcomes = bench.record()["totals"]["outcomes"]
    assert outcomes["ok"] == sum(outcomes.values()), (outcomes, verdict)
