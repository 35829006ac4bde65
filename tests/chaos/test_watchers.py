"""Detectors that look for themselves: the probe, and the API's breakers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from chaos.detectors.polling import Breaker, PollingDetector, Probe
from tests.helpers.waiting import eventually

MS = 1_000_000


class Health(BaseHTTPRequestHandler):
    """A health page that says what the test wants."""

    page: ClassVar[Any] = {}

    def do_GET(self) -> None:
        body = self.page if isinstance(self.page, bytes) else json.dumps(self.page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Target]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Target("api", "http", "127.0.0.1", server.server_port)
    server.shutdown()
    thread.join()
    server.server_close()


def breakers(**states: str) -> dict[str, Any]:
    return {"components": {name: {"breaker": state} for name, state in states.items()}}


def test_a_breaker_is_seen_to_open_and_to_close_and_half_open_is_still_open(api: Target) -> None:
    watcher = Breaker(api)
    pages = [
        breakers(redis="closed", postgres="closed"),
        breakers(redis="open", postgres="closed"),
        breakers(redis="half_open", postgres="closed"),
        breakers(redis="open", postgres="open"),
        breakers(redis="closed", postgres="open"),
    ]
    for page in pages:
        Health.page = page
        watcher.look()
    seen = [(one.target, one.is_down) for one in watcher.observations]
    assert seen == [("redis", True), ("postgres", True), ("redis", False)]


ODD_PAGES = [
    b"",
    b"{",
    b"[]",
    b"7",
    {"components": 7},
    {"components": {"redis": 7}},
    {"components": {"redis": {}}},
]


@pytest.mark.parametrize("page", ODD_PAGES, ids=str)
def test_a_page_that_says_nothing_of_breakers_is_no_observation(api: Target, page: Any) -> None:
    watcher = Breaker(api)
    Health.page = page
    watcher.look()
    assert watcher.observations == []


def test_an_api_that_is_away_says_nothing_of_its_breakers(api: Target) -> None:
    watcher = Breaker(replace(api, port=1))
    watcher.look()
    assert watcher.observations == []


def test_so_many_failed_probes_in_a_row_detect_and_one_good_one_ends_it(stack: EmbeddedStack) -> None:
    good = stack.targets()["redis"]
    bad = replace(good, port=1)
    watcher = Probe(good, 100 * MS, failures=3)
    for target in (bad, bad, good, bad, bad, bad, bad, good, good):
        watcher._target = target
        watcher.look()
    assert [one.is_down for one in watcher.observations] == [True, False]
    first, second = watcher.observations
    assert first.target == "redis"
    assert first.at_ns < second.at_ns
    assert "3 probes in a row failed" in first.detail


class Counter(PollingDetector):
    detector = "counter"

    def __init__(self, fails: bool = False) -> None:
        super().__init__("counter", MS)
        self.fails = fails

    def look(self) -> None:
        if self.fails:
            raise ZeroDivisionError


def test_a_watcher_looks_until_it_is_stopped_and_stopping_twice_or_early_is_harmless() -> None:
    early = Counter()
    early.stop()
    watcher = Counter()
    watcher.start()
    eventually(lambda: len(watcher.looks_ns) > 5, "it has looked six times")
    watcher.stop()
    looks = watcher.looks_ns
    watcher.stop()
    assert watcher.looks_ns == looks


def test_a_watcher_that_fails_says_so() -> None:
    watcher = Counter(fails=True)
    watcher.start()
    eventually(lambda: watcher.failure is not None, "it has failed")
    watcher.stop()
    assert isinstance(watcher.failure, ZeroDivisionError)
