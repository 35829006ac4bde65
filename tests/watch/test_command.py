"""`bench watch` on a real Redis that is killed, and killed itself: what it counted is what Redis did."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.stack.services.programs import find_server_binary
from bench.watch.history import UNREACHABLE
from bench.watch.journal import Journal
from tests.helpers.command_line import Bench
from tests.helpers.tls_servers import free_port
from tests.helpers.waiting import COMPILE_S, eventually

RATE_PER_S = 50
SCENARIO = f"""\
scenario: counted
purpose: Redis counts what it is asked
workloads:
  - name: counter
    target: cache
    driver: redis
    lanes: 2
    operations: {{count: {{command: [INCR, counted]}}}}
    arrivals: constant
    rate: {RATE_PER_S}/s
    deadline: 300ms
phases:
  - {{name: steady, for: 5s}}
sla:
  - counter.availability(window=30d) >= 99.9%
"""


class CountingRedis:
    """A Redis that has written down every increment before it answers, so that its count survives a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(find_server_binary().path), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(lambda: self.ask(b"PING").startswith(b"+PONG"), "Redis answers")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self, command: bytes) -> bytes:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1.0) as connection,
        ):
            connection.sendall(command + b"\r\n")
            return connection.recv(1000)
        return b""

    def counted(self) -> int:
        return int(self.ask(b"GET counted").split(b"\r\n")[1])


@contextmanager
def killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[CountingRedis]:
    server = CountingRedis(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.mark.long
def test_what_a_watch_counts_is_what_redis_did_when_both_were_killed(
    tmp_path: Path, redis: CountingRedis
) -> None:
    bench = Bench(tmp_path)
    stack = tmp_path / "far.yaml"
    stack.write_text(
        f"stack: far\ntargets:\n  cache: {{kind: redis, url: 'redis://127.0.0.1:{redis.port}'}}\n"
    )
    out = tmp_path / "watch"
    folder = out / "counted"
    words: list[str | Path] = ["watch", bench.scenario(SCENARIO), "--stack", stack, "--out", out]
    words += ["--segment", "2s", "--json"]

    def rows() -> list[Any]:
        journal = Journal.read(folder)
        return [] if journal is None else journal.rows

    with killed_at_the_end(bench.start(*words)) as first:
        eventually(lambda: len(rows()) >= 1, "a first segment is counted", COMPILE_S)
        redis.kill()
        eventually(lambda: any(row.kind == UNREACHABLE for row in rows()), "no segment can connect")
        redis.start()
        back = len(rows())
        eventually(lambda: any(row.run for row in rows()[back:]), "a segment is counted again")
        # In the middle of a segment, of which some windows are on disk.
        eventually(
            lambda: any(
                len(file.read_bytes().splitlines()) > 10 for file in folder.glob("runs/.*.partial/series.csv")
            ),
            "a segment is under way",
        )
        first.send_signal(signal.SIGKILL)
        _, said = first.communicate()
        assert "incident: nothing of counter succeeded from" in said
    before = rows()
    with killed_at_the_end(bench.start(*words)) as second:
        eventually(lambda: len(rows()) >= len(before) + 2, "it goes on", COMPILE_S)
        refused = bench(*words)
        assert refused.code == 2
        assert f"found process {second.pid}" in refused.err
        second.send_signal(signal.SIGINT)
        shown, said = second.communicate(timeout=COMPILE_S)
    assert second.returncode == 1, said
    after = rows()
    assert after[: len(before)] == before
    summary = json.loads(shown)
    counted = sum(row.workloads["counter"].ok for row in after)
    assert summary["ok"] == counted
    # What Redis did and nobody counted: what was under way when one of them was killed, and what had ended
    # since the last window on disk. A segment lost or counted twice would be more.
    assert 0 <= redis.counted() - counted <= RATE_PER_S
    (incident,) = summary["incidents"]
    assert incident["first_success_ns"] > incident["begin_ns"]
    assert summary["planned"] - summary["ok"] >= incident["failed"] > RATE_PER_S
    assert summary["objectives"][0]["state"] == "broken"
    # Runs that were counted are gone, but for those of the incident.
    kept = {path.name for path in (folder / "runs").iterdir() if not path.name.startswith(".")}
    assert kept == set(incident["runs"])
    assert (folder / "watch.html").read_text().count("counter.availability")
    shown_again = bench(*words, "--show")
    assert shown_again.code == 1
    assert json.loads(shown_again.out)["ok"] == counted


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--show"], "expected a watch in"),
        (["--segment", "1h"], "expected 1 s to 5 min"),
        (["--objective", "counter.throughput > 1/s"], "a percentile of response"),
    ],
)
def test_what_cannot_be_watched_is_refused_before_any_load(
    tmp_path: Path, more: list[str], said: str
) -> None:
    bench = Bench(tmp_path)
    scenario = bench.scenario(SCENARIO.replace("target: cache", "target: redis"))
    done = bench("watch", scenario, "--stack", "embedded", "--out", tmp_path / "watch", *more)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (tmp_path / "watch").exists()
