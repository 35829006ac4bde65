"""The reference API as a process, and the servers behind it that a test stops, kills and brings back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from bench.stack.embedded import EmbeddedStack
from bench.stack.target_url import url_of
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
IDLE_S = 2.0
"""How long a connection may be idle and still be used; the API closes it after five seconds."""
PATIENT_MS, SHORT_MS = 20_000, 1_000
"""Deadlines of an API: one that no busy machine reaches, and one for tests of what happens at its end."""
SHORT_S = SHORT_MS / 1e3
SLACK_S = 4.0
"""What a busy machine may add to the time that the client sees."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cache(self) -> str | None:
        return self.headers.get("x-cache")


class Api:
    """One running API. A thread that asks gets a connection of its own, kept open."""

    def __init__(self, environment: dict[str, str]) -> None:
        settings = {
            "API_PORT": "0",
            "API_DEADLINE_MS": str(PATIENT_MS),
            "API_BREAKER_FAILURES": "3",
            "API_BREAKER_RESET_S": "0.3",
            "API_ITEMS": "200",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.reference_api"],
            cwd=ROOT,
            env=os.environ | settings | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "http://" in line, self.process.communicate()[1]
        self.port = int(line.rstrip().rpartition(":")[2])
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            self._connections.append(connection)
        begin_s = time.monotonic()
        if begin_s - getattr(self._local, "used_s", begin_s) > IDLE_S:
            connection.close()  # the API may be about to close it, and a request would meet that
        self._local.used_s = begin_s
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        content = response.read()
        took_s = time.monotonic() - begin_s
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, content, took_s)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def order(self, item: int, quantity: int = 1, key: str | None = None, customer: str = "ann") -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"item": item, "quantity": quantity, "customer": customer}
        return self.ask("POST", "/orders", body, headers)

    def component(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/health").json["components"][name]
        return found

    def metric(self, name: str, **labels: str) -> float:
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        start = f"holdfast_api_{name}{f'{{{inside}}}' if inside else ''} "
        lines = [line for line in self.get("/metrics").body.decode().splitlines() if line.startswith(start)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    def until_up(self) -> None:
        eventually(lambda: self.get("/health").json["status"] == "ok", "everything is up")

    def close(self) -> str:
        """End it; what it wrote on stderr is returned. Again: an empty text."""
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.stderr is not None
        return "" if self.process.stderr.closed else self.process.communicate(timeout=PATIENCE_S)[1]


class Servers:
    """Redis and Postgres of an embedded stack."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        targets = stack.targets()
        self.environment = {
            "REDIS_URL": url_of(targets["redis"]),
            "DATABASE_URL": url_of(targets["postgres"]),
        }

    def pid(self, name: str) -> int:
        starts = ("started", "restarted")
        pids = [event.pid for event in self._stack.events() if event.service == name and event.kind in starts]
        assert pids[-1] is not None
        return pids[-1]

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Each server and all its processes hang: connections are accepted by the kernel, nothing answers."""
        processes = [one for name in names for one in _family(self.pid(name))]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def killed(self, *names: str) -> Iterator[None]:
        """Each server is killed and stays down: who would start it again is stopped meanwhile."""
        supervisors = []
        try:
            for name in names:
                process = psutil.Process(self.pid(name))
                supervisor = process.parent()
                assert supervisor is not None
                supervisor.send_signal(signal.SIGSTOP)
                supervisors.append(supervisor)
                for one in _family(process.pid):
                    one.kill()
            yield
        finally:
            for supervisor in supervisors:
                supervisor.send_signal(signal.SIGCONT)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
