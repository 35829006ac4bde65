"""Who asks for /metrics without business there: learns nothing, and stops nobody."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from bench.exporters.prometheus import PrometheusExporter

FOREIGN = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[")
LOCAL = ("127.0.0.1", "localhost", "LOCALHOST:9464", "127.0.0.1:1", "[::1]:9464", None)
GARBAGE = (b"\xff" * 3000, b"GET\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n", b"\0", b"")


@pytest.fixture
def port() -> Iterator[int]:
    exporter = PrometheusExporter(0)
    yield urlsplit(exporter.address).port or 0
    exporter.close()


def asked(port: int, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", "/metrics", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_whose_own_name_leads_here_reads_nothing(port: int, host: str) -> None:
    status, body = asked(port, Host=host)
    assert status == 421
    assert b"holdfast_" not in body
    assert b"evil" not in body


@pytest.mark.parametrize("host", LOCAL)
def test_a_scraper_on_this_machine_reads_them(port: int, host: str | None) -> None:
    assert asked(port, **({} if host is None else {"Host": host}))[0] == 200


@pytest.mark.parametrize("sent", GARBAGE)
def test_whatever_else_is_sent_the_next_scraper_is_answered(
    port: int, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(sent)
    assert asked(port, Host="localhost")[0] == 200
    assert "Traceback" not in "".join(capfd.readouterr())
