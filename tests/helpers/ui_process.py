"""`bench ui` as a user starts it: a process of its own, asked over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.helpers.scenarios import BRIEF
from tests.helpers.waiting import COMPILE_S, eventually

ROOT = Path(__file__).parent.parent.parent
SCENARIOS = ROOT / "scenarios"
SHORT = (
    BRIEF.replace("for: 2s", "for: 1s")
    .replace("for: 500ms", "for: 200ms")
    .replace("cache.errors < 1%", "cache.throughput >= 400/s")
)


class Answer(NamedTuple):
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = iter(range(20_000 + 500 * WORKER, 20_500 + 500 * WORKER))
"""Below those that the kernel hands out: nobody else is given one while a web UI takes its time to start."""


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is left")


def environment(**more: str) -> dict[str, str]:
    """Ours without what would change a run."""
    unwanted = ("REDIS_URL", "DATABASE_URL", "API_URL", "COV_", "COVERAGE", "LOCUST_", "HOLDFAST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)} | more


class UiProcess:
    """One web UI on a port of its own."""

    def __init__(self, out: Path, *arguments: str, scenarios: Path = SCENARIOS, **variables: str) -> None:
        self.port = free_port()
        self.out = out
        self.log = out.parent / f"ui-{self.port}.log"
        words = ["ui", "--port", str(self.port), "--out", str(out), "--scenarios", str(scenarios), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench", *words],
                cwd=ROOT,
                env=environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A shell that runs the tests in the background has it ignored, and that is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self.until(self._answers, "the web UI answers")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """One request; `headers` with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = urllib.parse.urlencode(form) if form is not None else None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.ask("GET", "/holdfast/state").json
        return state

    def numbers(self) -> dict[str, Any]:
        numbers: dict[str, Any] = self.ask("GET", "/stats/requests").json
        return numbers

    def start(self, **fields: str) -> Answer:
        """Submit the form; where it was accepted, return when the run is the one that is shown."""
        answer = self.ask("POST", "/swarm", {"user_count": "1", "spawn_rate": "1", "host": "", **fields})
        if answer.json["success"]:
            self.until(lambda: self.state()["status"] not in ("idle", "over"), "the run is under way")
        return answer

    def until(self, condition: Callable[[], object], what: str, seconds: float = COMPILE_S) -> None:
        """Wait for something that will come; fail with the log where it does not."""

        def holds() -> object:
            ended = self.process.poll()
            assert ended is None, f"{what}: ended with {ended}\n{self.log.read_text()}"
            return condition()

        eventually(holds, lambda: f"{what}\n{self.log.read_text()}", seconds)

    def until_over(self) -> dict[str, Any]:
        """Wait until no run is under way and Locust has stopped."""
        self.until(lambda: self.state()["status"] == "over", "the run is over")
        self.until(lambda: self.numbers()["state"] == "stopped", "Locust has stopped")
        return self.state()

    def family(self) -> list[psutil.Process]:
        """The process and all below it: agents, servers."""
        found = psutil.Process(self.process.pid)
        return [found, *found.children(recursive=True)]

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(COMPILE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/holdfast/state").status in (200, 401)
        except OSError:
            return False


def brief_scenarios(folder: Path) -> Path:
    """A folder with one short scenario."""
    folder.mkdir(exist_ok=True)
    (folder / "brief.yaml").write_text(SHORT, encoding="utf-8")
    return folder


def label_of(name: str) -> str:
    """A scenario as the form lists it."""
    import yaml

    entry = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text(encoding="utf-8"))
    return f"{name}: {entry['purpose']}"


def is_measuring(ui: UiProcess) -> bool:
    """Whether the run under way has numbers."""
    requests: int = ui.numbers()["stats"][-1]["num_requests"]
    return ui.state()["status"] == "running" and requests > 100
