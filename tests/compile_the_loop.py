"""Compile what runs load, if this machine does not have it yet: python -m tests.compile_the_loop.

The measuring loop, the loop of the fault proxy, and what the client engines make of answers. Each process of
tests would otherwise compile what it meets first, beside others that compile the same.
"""

import signal
import socket
import tempfile
from pathlib import Path

from bench.core.jit import is_cold
from bench.run.calibration.measure import self_measurement
from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from chaos.proxy.client import FaultProxy
from tests.helpers.client_runs import client, plan_of, run
from tests.helpers.http_server import OK, Answerer, LittleHttp

LIMIT_S = 900
"""Whoever waits for this process then goes on without it, and compiles by itself."""

PAGE = {"path": "/", "expect": {"json": {"$.count": 1}}}
PLANS = (
    {"target": "redis"},
    {"target": "postgres", "driver": "postgres", "keys": None, "operations": {"one": {"sql": "SELECT 1"}}},
    {"target": "api", "driver": "http", "keys": None, "operations": {"page": {"request": PAGE}}},
)


def fine(answerer: Answerer) -> None:
    """Answer every request alike."""
    for _ in answerer.requests():
        answerer.send(OK)


def proxy_of(upstream: socket.socket) -> FaultProxy:
    return FaultProxy("127.0.0.1", upstream.getsockname()[1], seed=1)


def compile_all() -> None:
    """Run a little of everything."""
    self_measurement(None, 8)
    with socket.create_server(("127.0.0.1", 0)) as upstream, proxy_of(upstream) as proxy:
        proxy.await_relay(LIMIT_S)
    server = LittleHttp(fine)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
    with EmbeddedStack({"redis", "postgres"}, folder) as stack:
        targets: dict[str, Target] = {**stack.targets(), "api": server.target}
        for plan in PLANS:
            run(client(plan_of(phases={"short": "50ms"}, **plan), targets[str(plan["target"])]))
    server.close()


if __name__ == "__main__" and is_cold():
    signal.alarm(LIMIT_S)
    compile_all()
