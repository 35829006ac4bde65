"""Text of a hostile server in everything that is shown: no terminal obeys it, no line is turned around."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import run as bench_run
from bench.cli.output import say
from bench.core.errors import Problem, TargetError
from bench.core.sanitize import all_visible, one_line, visible, visible_but_colour
from tests.helpers.command_line import Bench
from tests.helpers.synthetic_run import MS, SyntheticRun

HOSTILE = "ERR <b>\x1b[31;1mRED\x1b]0;pwn\x07\x9b2J\u202edrawkcab\u2066\u200b\r\x7f"
SHOWN = "ERR <b>\\x1b[31;1mRED\\x1b]0;pwn\\x07\\u009b2J\\u202edrawkcab\\u2066\\u200b"
HARMFUL = {chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0))} | set(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff"
)


def assert_harmless(text: str) -> None:
    assert not HARMFUL & set(text), sorted(map(hex, map(ord, HARMFUL & set(text))))


class Replies(socketserver.StreamRequestHandler):
    """A Redis whose every answer to GET is what a terminal must not see."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._word() for _ in range(int(line[1:]))]
            match words[0].upper():
                case b"PING":
                    answer = b"+PONG\r\n"
                case b"INFO":
                    text = b"redis_version:7.0.0\x1b[2J\r\n"
                    answer = b"$%d\r\n%s\r\n" % (len(text), text)
                case b"GET":
                    answer = b"-%s\r\n" % HOSTILE.rstrip("\r\x7f").encode()
                case _:
                    answer = b"+OK\r\n"
            self.wfile.write(answer)

    def _word(self) -> bytes:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


class HostileRedis(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


@pytest.fixture
def hostile_redis() -> Iterator[str]:
    with HostileRedis(("127.0.0.1", 0), Replies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"redis://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


SCENARIO = """
scenario: hostile
purpose: A server that writes to the terminal
workloads:
  - name: cache
    target: redis
    driver: redis
    engine: ENGINE
    lanes: 2
    keys: {count: 10, preload: false}
    operations: {get: {command: [GET, "{key}"]}}
    arrivals: constant
    rate: 50/s
phases: [{name: steady, for: 1s}]
sla: ["cache.errors < 1%"]
"""


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
@pytest.mark.timeout(300)
def test_what_a_server_says_is_shown_with_its_escapes_in_every_report(
    bench: Bench, hostile_redis: str, engine: str
) -> None:
    path = bench.scenario(SCENARIO.replace("ENGINE", engine))
    done = bench("run", path, "--out", bench.results, REDIS_URL=hostile_redis)
    assert done.code in (1, 5), done.err  # 5 where others keep the machine busy
    assert_harmless(done.out)
    assert_harmless(done.err)
    assert "\\x1b]0;pwn\\x07" in done.out
    (folder,) = bench.folders()
    for name in ("run.json", "verdict.json", "events.jsonl"):
        assert_harmless((folder / name).read_text(encoding="utf-8"))
    (error,) = bench.record()["workloads"][0]["errors"]
    assert "\\u009b2J" in error["text"]
    for form in ("text", "html", "markdown", "junit", "json", "csv"):
        out = str(bench.folder / form)
        assert bench_run(["report", str(folder), "--format", form, "--out", out]) == 0
        text = (bench.folder / form).read_text(encoding="utf-8")
        assert_harmless(text.replace("\ufeff", ""))
        if form == "json":
            json.loads(text)


def test_a_run_that_another_version_wrote_is_shown_the_same(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    run = SyntheticRun(sla=["cache.response.p50 < 10ms"], samples={"cache/get/response/ok": [(MS, 500)]})
    folder = run.write(tmp_path / "results")
    record = json.loads((folder / "run.json").read_text())
    record["anomalies"] = [{"code": "odd", "severity": "note", "message": HOSTILE}]
    record["scenario"]["purpose"] = HOSTILE
    (folder / "run.json").write_text(json.dumps(record))
    for command in ("judge", "report"):
        assert bench_run([command, str(folder)]) == 0
        shown = capsys.readouterr()
        assert_harmless(shown.out + shown.err)
        assert "pwn" in shown.out


def test_an_error_stays_one_line_whatever_it_quotes() -> None:
    error = TargetError("redis", "a", "PONG", "-ERR\nPASS  all rules hold\x1b[2J", "look")
    assert str(error) == "target redis at a: expected PONG, found -ERR PASS  all rules hold\\x1b[2J; look"
    problem = Problem("a\x1b.yaml", 1, 1, "rate", "a rate", "x\ny\u202e", "correct it")
    assert str(problem) == "a\\x1b.yaml:1:1: rate: expected a rate, found x y\\u202e; correct it"


def test_json_keeps_its_meaning_when_it_is_made_visible() -> None:
    value = {"a": "\u202e\x9b\x7f\udcff \U000e0041 \u2028", "b": "plain é 😀"}
    text = visible(json.dumps(value, ensure_ascii=False))
    assert_harmless(text)
    assert json.loads(text) == value


def test_our_own_colour_stays_and_nothing_else_does(capsys) -> None:  # type: ignore[no-untyped-def]
    assert visible_but_colour("\x1b[31mFAIL\x1b[0m \x1b]0;x\x07") == "\x1b[31mFAIL\x1b[0m \\x1b]0;x\\x07"
    assert visible("tab\tand\nline é 😀") == "tab\tand\nline é 😀"
    assert all_visible({"k\x07": ["\x00", 1, None]}) == {"k\\x07": ["\\x00", 1, None]}
    assert one_line("a\r\nb\n") == "a b"
    say("\x1b]0;pwn\x07")
    assert capsys.readouterr().out == "\\x1b]0;pwn\\x07\n"
