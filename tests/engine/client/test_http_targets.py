"""HTTP targets that are encrypted, stopped or not there at all."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.stack.target import Target
from tests.engine.client.http_plans import http_plan
from tests.engine.client.real_http import RealHttp
from tests.helpers.client_runs import client, run
from tests.helpers.http_server import Answerer, Behaviour, LittleHttp


def test_a_server_that_is_away_is_named_and_comes_back() -> None:
    server = RealHttp()
    try:
        plan = http_plan(deadline="500ms", phases={"steady": "2s"})
        ran = run(client(plan, server.target), (0.5, server.stop), (1.0, server.start))
    finally:
        server.stop()
    ran.assert_adds_up()
    found = ran.outcomes()
    assert sum(found.values()) == 400
    assert found[Outcome.REFUSED] > 0
    assert found[Outcome.OK] > 150
    assert set(found) <= {Outcome.OK, Outcome.REFUSED, Outcome.RESET, Outcome.DROPPED}
    assert ran.result.counters["lost_connections"] >= ran.result.counters["reconnects"] > 0
    assert ran.result.counters["connections_created"] == 10 + ran.result.counters["reconnects"]
    assert ran.result.counters["leaked_connections"] == 0
    assert {event["kind"] for event in ran.events} == {"reconnected"}
    assert "cannot connect: Connection refused" in [error.text for error in ran.result.errors]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, its key behind it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=a test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", f"{path}.key", "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def https(certificate: Path) -> Iterator[RealHttp]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, f"{certificate}.key")
    server = RealHttp(context)
    yield server
    server.stop()


def test_https_works_where_the_certificate_is_trusted(
    https: RealHttp, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    ran = run(client(http_plan(), https.target))
    ran.assert_adds_up()
    assert ran.outcomes() == {Outcome.OK: 100}
    assert ran.result.counters["connections_created"] == 10
    assert ran.result.counters["leaked_connections"] == 0


def refusal(target: Target) -> str:
    engine = client(http_plan(), target)
    try:
        with pytest.raises(TargetError, match="a pool of 10 connections to be opened") as caught:
            engine.prepare()
    finally:
        engine.close()
    return str(caught.value)


def test_a_certificate_that_nobody_trusts_is_refused_before_the_run(https: RealHttp) -> None:
    text = refusal(https.target)
    assert "a certificate that is not trusted here (self-signed certificate)" in text
    assert "SSL_CERT_FILE" in text


def test_a_stop_at_once_does_not_wait_for_a_server_that_says_nothing(
    serve: Callable[[Behaviour], LittleHttp],
) -> None:
    def behave(answerer: Answerer) -> None:
        for _ in answerer.requests():
            pass

    engine = client(http_plan(deadline="60s", phases={"long": "60s"}), serve(behave).target)
    ran = run(engine, (0.3, lambda: engine.stop(at_once=True)))
    ran.assert_adds_up()
    assert ran.outcomes()[Outcome.RESET] == 10
    assert ran.outcomes()[Outcome.DROPPED] > 0
    assert ran.result.counters["leaked_connections"] == 0


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = Target("api", "http", "127.0.0.1", listener.getsockname()[1])
    assert "cannot connect: Connection refused" in refusal(target)
