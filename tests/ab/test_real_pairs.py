"""`bench ab` as a user runs it: real servers, started anew for each run; nothing is left behind."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.stack.services.loopback_port import free_loopback_port
from tests.helpers.command_line import Bench
from tests.helpers.waiting import eventually

BRIEF = """
scenario: brief_pairs
purpose: a moment of load for each run of a pair
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 4
    operations: {get: {command: [GET, greeting]}}
    arrivals: constant
    rate: 400/s
    deadline: 1s
phases:
  - {name: steady, for: 1s}
sla:
  - cache.errors < 100%
"""

SERVER = """
import http.server, pathlib, sys
pathlib.Path(sys.argv[2]).open("a").write("started\\n")
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*/run.json"))]


@pytest.mark.long
def test_settings_of_a_server_reach_only_their_variant_and_every_run_has_a_server_of_its_own(
    program: Bench,
) -> None:
    out = program.folder / "ab"
    done = program(
        *("ab", program.scenario(BRIEF), "--b", "settings=redis.maxmemory=123mb", "--pairs", "1"),
        *("--json", "--out", out),
    )
    assert done.code == 5, done.err
    assert json.loads(done.out)["scenario"] == "brief_pairs"
    found = records(out)
    assert min(one["pair"]["variant"] for one in found) == "a"
    for record in found:
        (target,) = [one for one in record["stack"]["targets"] if one["name"] == "redis"]
        expected = "123mb" if record["pair"]["variant"] == "b" else None
        assert target["settings"].get("maxmemory") == expected
    pids = {one["stack"]["targets"][0]["pid"] for one in found}
    assert len(pids) == len(found) >= 2
    assert len({one["plan"]["digest"] for one in found}) == 1
    assert len(list(out.glob("*.ab.json"))) == 1


@pytest.mark.long
def test_a_command_is_started_for_each_run_and_ended_with_it(program: Bench) -> None:
    port = free_loopback_port()
    server, noted = program.folder / "server.py", program.folder / "noted.txt"
    server.write_text(SERVER, encoding="utf-8")
    stack = program.scenario(
        f"stack: own\ntargets:\n  web: {{kind: http, url: 'http://127.0.0.1:{port}'}}\n", "own.yaml"
    )
    scenario = program.scenario(
        BRIEF.replace("target: redis", "target: web")
        .replace("driver: redis", "driver: http")
        .replace("{get: {command: [GET, greeting]}}", "{get: {request: {method: GET, path: /}}}")
        .replace("rate: 400/s", "rate: 100/s")
    )
    start = f"start={sys.executable} {server} {port} {noted}"
    words = ("--both", start, "--stack", stack, "--b", "set=workloads.cache.lanes=2", "--pairs", "1")
    done = program("ab", scenario, *words, "--out", program.folder / "ab")
    assert done.code == 5, done.err
    runs = records(program.folder / "ab")
    assert noted.read_text(encoding="utf-8").count("started") == len(runs) >= 2
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.long
def test_ctrl_c_ends_it_with_all_that_it_has_started(program: Bench) -> None:
    out = program.folder / "ab"
    scenario = program.scenario(BRIEF.replace("for: 1s", "for: 30s"))
    process = program.start("ab", scenario, "--b", "set=workloads.cache.lanes=2", "--out", out)
    try:
        eventually(lambda: any(out.glob(".*.partial/windows.hlog")), "a run that has begun")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "0 of 10 pairs were measured" in said
    assert list(out.glob(".*")) == []
    assert list(out.glob("*.ab.json")) == []
