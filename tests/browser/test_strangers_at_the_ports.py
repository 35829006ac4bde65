"""Who has no business there, at the ports that the web UI and its master open: nothing learned or started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest
import zmq

from tests.helpers.ui_process import ROOT, UiProcess, environment, free_port

pytestmark = pytest.mark.timeout(400)
SESAME = "open-sesame-1234"
GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"\x00" * 5000,
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL" + bytes(48),
    b"\xff" * 64,
    os.urandom(3000),
    b'{"say": "relay", "to": null}\n' * 100,
)


class Stranger:
    """What a worker of Locust is, without the secret."""

    def __init__(self, port: int) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, b"stranger")
        self._socket.setsockopt(zmq.LINGER, 0)
        # Who is turned away before it has spoken would wait here for ever.
        self._socket.setsockopt(zmq.SNDTIMEO, 1000)
        self._socket.connect(f"tcp://127.0.0.1:{port}")

    def say(self, kind: str, data: Any) -> None:
        with contextlib.suppress(zmq.Again):
            self._socket.send(msgpack.dumps((kind, data, "stranger")))

    def heard(self, seconds: float) -> list[bytes]:
        found, until = [], time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._socket.poll(left * 1000):
                found += self._socket.recv_multipart()
        return found

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def worker(port: int, log: Path, **variables: str) -> psutil.Popen:
    words = [sys.executable, "-m", "bench", "ui", "--", "--worker", "--master-port", str(port)]
    with log.open("wb") as stream:
        return psutil.Popen(words, cwd=ROOT, env=environment(**variables), stdout=stream, stderr=stream)


def listening(ui: UiProcess) -> set[tuple[str, int]]:
    found = set()
    for one in ui.family():
        for connection in one.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr.ip, connection.laddr.port))
    return found


@pytest.mark.long
def test_a_worker_without_the_secret_learns_nothing_and_one_with_it_makes_the_run(
    brief: Path, tmp_path: Path
) -> None:
    port, state = free_port(), str(tmp_path / "state")
    words = ("--", "--master", "--master-bind-port", str(port))
    ui = UiProcess(tmp_path / "results", *words, scenarios=brief, XDG_STATE_HOME=state)
    stranger = Stranger(port)
    logs = [tmp_path / "known.log", tmp_path / "unknown.log"]
    known = worker(port, logs[0], XDG_STATE_HOME=state)
    unknown = worker(port, logs[1], HOLDFAST_WORKER_SECRET="guessed-by-somebody")
    try:
        assert (tmp_path / "state/holdfast/worker-secret").stat().st_mode & 0o777 == 0o600
        assert all(address == "127.0.0.1" for address, _ in listening(ui))
        for kind, data in (
            ("client_ready", "2.47.0"),
            ("heartbeat", {"state": "ready", "current_cpu_usage": 1, "current_memory_usage": 1}),
            ("holdfast", {"run": "", "say": "relay", "text": "{"}),
            ("quit", None),
        ):
            stranger.say(kind, data)
        for sent in GARBAGE:
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(sent)
        count = lambda: ui.ask("GET", "/worker-count").json["worker_count"]  # noqa: E731 - asked again
        ui.until(lambda: count() == 1, "the worker that knows the secret is ready")
        ui.until(lambda: "turned this worker away" in logs[1].read_text(), "the other one is told")
        assert ui.start(scenario="brief").json["success"]
        state_of_run = ui.until_over()
        record = json.loads((ui.out / state_of_run["run"] / "run.json").read_text())
        assert len(record["workers"]) == 1
        assert record["workers"][0]["lost"] is None
        assert count() == 1
        assert stranger.heard(0.2) == []
        told = ui.log.read_text()
        assert "turned away from the worker port" in told
        assert "Traceback" not in told
    finally:
        stranger.close()
        for process in (known, unknown):
            process.terminate()
            process.wait(60)
        ui.close()


@pytest.mark.parametrize(
    ("variables", "words", "told"),
    [
        ({"HOLDFAST_WORKER_SECRET": "short"}, (), "at least 16 characters"),
        ({}, ("--secret-file", "/nowhere/at/all"), "No such file"),
    ],
)
def test_a_secret_that_is_none_is_refused_before_anything_listens(
    tmp_path: Path, variables: dict[str, str], words: tuple[str, ...], told: str
) -> None:
    log = tmp_path / "log"
    port = str(free_port())
    command = [sys.executable, "-m", "bench", "ui", "--port", str(free_port()), "--"]
    with log.open("wb") as stream:
        process = psutil.Popen(
            [*command, "--master", "--master-bind-port", port, *words],
            cwd=ROOT,
            env=environment(XDG_STATE_HOME=str(tmp_path), **variables),
            stdout=stream,
            stderr=stream,
        )
    assert process.wait(60) == 2
    assert told in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_file_that_others_can_read_holds_no_secret(tmp_path: Path) -> None:
    from bench.core.errors import UsageError
    from bench.swarm.distributed.trust import _of_this_user

    path = tmp_path / "state" / "worker-secret"
    made = _of_this_user(path, bytes(32))
    assert made == _of_this_user(path, bytes([1] * 32))
    path.chmod(0o644)
    with pytest.raises(UsageError, match="owner alone"):
        _of_this_user(path, bytes(32))


@pytest.mark.long
def test_a_stranger_at_the_web_ui_starts_nothing_and_reads_nothing(brief: Path, tmp_path: Path) -> None:
    ui = UiProcess(tmp_path / "results", scenarios=brief, HOLDFAST_UI_USER="me", HOLDFAST_UI_PASSWORD=SESAME)
    try:
        for method, path in (
            *(
                ("GET", path)
                for path in ("/", "/stop", "/stats/requests", "/holdfast/state", "/logs", "/tasks")
            ),
            *(("POST", path) for path in ("/swarm", "/stop", "/user", "/login")),
        ):
            for headers in ({}, {"Host": "evil.example"}, {"Authorization": "Basic bWU6d3Jvbmc="}):
                connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=30)
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                assert answer.status in (400, 401, 403, 421), (method, path, headers, answer.status)
                assert b"brief" not in body
                assert b"Traceback" not in body
        for sent in GARBAGE:
            with socket.create_connection(("127.0.0.1", ui.port), 10) as connection_to:
                connection_to.sendall(sent)
        assert not ui.out.exists() or not any(ui.out.iterdir())
        assert "Traceback" not in ui.log.read_text()
    finally:
        ui.close()
