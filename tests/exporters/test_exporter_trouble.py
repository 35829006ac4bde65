"""Exporters that are not wanted, cannot be had, or whose other end is away, slow or hostile."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.clock import WallLabel
from bench.core.errors import UsageError
from bench.exporters import choice, otel, prometheus
from bench.exporters.choice import Asked, open_exporters, otel_collector
from bench.exporters.prometheus import PASSWORD, USERNAME, PrometheusExporter
from bench.results.run_record import RunRecord
from bench.run.plugins import RunObserver
from tests.exporters.otlp_receiver import OtlpReceiver
from tests.exporters.seen_runs import show
from tests.helpers.waiting import LONGEST_S

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_sender_is_left() -> Iterator[None]:
    """One that went on trying would draw from the random numbers of later tests, which notice it."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("to "):
            thread.join(LONGEST_S)
            assert not thread.is_alive(), thread.name


@contextlib.contextmanager
def opened(asked: Asked, said: list[str], **environment: str) -> Iterator[list[RunObserver]]:
    found = open_exporters(asked, said.append, environment)
    try:
        yield found
    finally:
        for exporter in found:
            exporter.close()


@contextlib.contextmanager
def receiver(*, hangs: bool = False, status: int = 200) -> Iterator[OtlpReceiver]:
    one = OtlpReceiver(hangs=hangs, status=status)
    try:
        yield one
    finally:
        one.close()


def refusing_url() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_nothing_configured_gives_no_exporter_says_nothing_and_imports_nothing_heavy() -> None:
    program = """
import sys
from bench.exporters.choice import Asked, open_exporters
said = []
assert open_exporters(Asked(), said.append, {}) == [] and said == []
heavy = ("opentelemetry", "logfire", "prometheus_client", "requests", "numpy", "google")
found = [name for name in sys.modules if name.partition(".")[0] in heavy]
print(found)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_package_that_is_missing_is_a_usage_error_where_asked_for_and_a_word_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--prometheus: .*pip install 'holdfast\[prometheus\]'"):
        open_exporters(Asked(prometheus_port=0), print, {})
    with pytest.raises(UsageError, match=r"--otel: .*pip install 'holdfast\[otel\]'"):
        open_exporters(Asked(otel_endpoint="http://127.0.0.1:4318"), print, {})
    said: list[str] = []
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "LOGFIRE_TOKEN": "hidden"}
    assert open_exporters(Asked(), said.append, environment) == []
    assert len(said) == 2
    assert "holdfast[otel]" in said[0]
    assert "holdfast[logfire]" in said[1]
    assert "hidden" not in "".join(said)


def test_a_port_that_is_taken_is_a_usage_error_that_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--prometheus {port}: .*'Address already in use'"):
            PrometheusExporter(port)


def test_beyond_loopback_credentials_are_demanded_of_us_and_of_scrapers() -> None:
    with pytest.raises(UsageError, match=USERNAME):
        PrometheusExporter(0, "0.0.0.0", {})
    exporter = PrometheusExporter(0, "0.0.0.0", {USERNAME: "me", PASSWORD: "secret"})
    try:
        address = exporter.address.replace("0.0.0.0", "127.0.0.1")
        assert get(address)[0] == 401
        wrong = base64.b64encode(b"me:guessed").decode()
        assert get(address, Authorization=f"Basic {wrong}")[0] == 401
        right = base64.b64encode(b"me:secret").decode()
        assert get(address, Authorization=f"Basic {right}")[0] == 200
    finally:
        exporter.close()


def test_a_scraper_that_says_nothing_does_not_keep_others_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus._Handler, "timeout", 0.1)
    exporter = PrometheusExporter(0)
    try:
        show(exporter)
        host, port = exporter.address.removeprefix("http://").removesuffix("/metrics").split(":")
        with socket.create_connection((host, int(port))):
            status, text = get(exporter.address)
        assert status == 200
        assert 'holdfast_arrivals_total{measured="true",operation="get",outcome="timeout"' in text
        assert get(exporter.address.replace("/metrics", "/other"))[0] == 404
    finally:
        exporter.close()
        exporter.close()


def test_a_scraper_that_sends_a_byte_now_and_then_does_not_keep_others_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prometheus, "SCRAPER_PATIENCE_S", 0.5)
    monkeypatch.setattr(prometheus._Handler, "timeout", 0.5)
    exporter = PrometheusExporter(0)
    there = threading.Event()

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut off, as it should be
            while True:
                connection.sendall(b"G")
                there.set()
                over.wait(0.05)

    over = threading.Event()
    with contextlib.closing(exporter):
        port = exporter._server.server_address[1]
        with socket.create_connection(("127.0.0.1", port)) as connection:
            threading.Thread(target=drip, args=(connection,), daemon=True).start()
            assert there.wait(10)
            with urllib.request.urlopen(exporter.address, timeout=10) as answer:
                assert answer.status == 200


def test_a_collector_that_is_away_is_told_of_once_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "END_NS", 100_000_000)
    said: list[str] = []
    url = refusing_url()
    with opened(Asked(otel_endpoint=url), said) as (exporter,):
        show(exporter)
    (sentence,) = said
    assert sentence.startswith(f"otel: the collector at {url}")


def test_a_sender_that_breaks_is_told_of_as_one_whose_collector_refuses() -> None:
    said: list[str] = []
    collector = otel_collector(refusing_url(), {})
    assert collector is not None
    exporter = otel.OtelExporter([collector], said.append)
    exporter.started(RunRecord.model_validate({"run": "without its other sections"}), WallLabel.read())
    exporter.close()
    (told,) = said
    assert "did not take everything: ValueError" in told


def test_a_collector_that_hangs_holds_up_neither_the_run_nor_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "END_NS", 100_000_000)
    said: list[str] = []
    with receiver(hangs=True) as hanging:
        with opened(Asked(otel_endpoint=hanging.url), said) as (exporter,):
            show(exporter)
            assert hanging.asked.wait(30)
        # Everything above is over, and it has not answered yet.
        assert not hanging.release.is_set()
    assert len(said) == 1
    assert "did not answer in time" in said[0]


def test_a_collector_that_refuses_is_told_of_and_standard_error_stays_clean(
    capfd: pytest.CaptureFixture[str],
) -> None:
    said: list[str] = []
    with receiver(status=403) as refusing, opened(Asked(otel_endpoint=refusing.url), said) as (exporter,):
        show(exporter)
    assert len(said) == 1
    assert "did not take everything" in said[0]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4318", "ftp://host", "http://", "http://host:99999", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError, match="expected an address such as") as refused:
        otel_collector(url, {})
    assert url not in str(refused.value).replace("http://127.0.0.1:4318", "")
    said: list[str] = []
    assert open_exporters(Asked(), said.append, {"OTEL_EXPORTER_OTLP_ENDPOINT": url}) == []
    assert "nothing is sent there" in said[0]


def test_a_protocol_that_we_do_not_speak_is_told_and_the_sdk_can_be_switched_off() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(UsageError, match="expected http/protobuf, found 'grpc'"):
        otel_collector(None, environment)
    assert otel_collector(None, environment | {"OTEL_SDK_DISABLED": "true"}) is None


def test_a_password_in_an_address_is_not_told() -> None:
    collector = otel_collector("http://me:secret@127.0.0.1:4318/base?key=secret", {})
    assert collector is not None
    assert collector.address == "http://127.0.0.1:4318"
