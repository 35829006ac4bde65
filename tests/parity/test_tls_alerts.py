"""An alert of TLS that ends a connection, also behind the handshake: the run has its name."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from bench.core.outcome import Outcome
from bench.engine.api import Engine
from bench.engine.wire.engine import WireEngine
from bench.protocols.state import TEXTS, WHY_OF_ALERT, why_lost
from bench.protocols.tls_alerts import ALERTS
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.helpers.tls_servers import Authority, Certificates, Park, redis_over_tls
from tests.parity import postgres_cases, raw_servers
from tests.parity.parity_runs import ENGINES, SERVERS
from tests.parity.raw_servers import Answer, RawServer

LANES = 4
ONE = {
    "http": {"get": {"request": {"path": "/fine"}}},
    "redis": {"get": {"command": ["GET", "case:fine"]}},
    "postgres": {"one": {"sql": "SELECT 'x'::text AS case_fine"}},
}
FINE = {
    "http": {"fine": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
    "redis": {"fine": Answer(b"$1\r\nx\r\n")},
    "postgres": {"fine": Answer(postgres_cases.FINE)},
}
AN_ALERT = "certificate required"


def made(engine: str, driver: str, target: Target) -> Engine:
    plan = plan_of(
        engine=engine, driver=driver, target=target.name, pool=LANES, lanes=LANES, keys=None,
        operations=ONE[driver], rate="50/s", phases={"steady": "1s"}, deadline="1s",
    )  # fmt: skip
    return client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)


def said(ran: Ran) -> str:
    """All that a run has to say about connections."""
    return "\n".join(
        [*(error.text for error in ran.result.errors), *(one[2] for one in ran.result.anomalies)]
    )


class Door:
    """A raw server over TLS that wants a certificate of clients from one moment on."""

    def __init__(self, authority: Authority, driver: str, backend: Callable[[], Target]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*authority.sign("server", "server"))
        self._context.load_verify_locations(authority.ca)
        if driver == "postgres":
            real = backend()
            serve = raw_servers.postgres(FINE[driver], (real.host, real.port))
        else:
            real = Target("api" if driver == "http" else driver, driver, "127.0.0.1", 0)
            serve = SERVERS[driver](FINE[driver])
        self.server = RawServer(serve, tls=self._context, asks_first=driver == "postgres")
        trusted = TlsSettings(ca=authority.ca)
        self.target = replace(real, host="127.0.0.1", port=self.server.port, tls=trusted)

    def want_certificates(self) -> None:
        """In TLS 1.3 a client hears of it behind the handshake, as the answer to its first bytes."""
        self._context.verify_mode = ssl.CERT_REQUIRED
        self.server.break_connections()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("driver", ONE)
def test_an_alert_behind_the_handshake_is_called_by_its_name(
    tmp_path: Path, backend: Callable[[], Target], driver: str, engine: str
) -> None:
    door = Door(Authority(tmp_path), driver, backend)
    try:
        ran = run(made(engine, driver, door.target), (0.4, door.want_certificates))
    finally:
        door.server.close()
    assert ran.outcomes()[Outcome.OK] > 0
    assert AN_ALERT in said(ran)


@pytest.mark.parametrize("engine", ["client", pytest.param("wire", marks=pytest.mark.long)])
def test_a_redis_whose_certificate_or_demands_change_in_the_run_is_named_as_the_reason(
    park: Park, certificates: Certificates, tmp_path: Path, engine: str
) -> None:
    right, expired = certificates.right, certificates.expired
    changes = {
        AN_ALERT: ("tls-auth-clients", "yes"),
        "certificate has expired": ("tls-cert-file", expired[0], "tls-key-file", expired[1]),
    }
    for words, change in changes.items():
        folder = tmp_path / change[0]
        with redis_over_tls(folder, certificates.authority.ca, right) as port:
            target = replace(park.target("redis"), port=port)
            admin = redis.Redis(port=port, ssl=True, ssl_ca_certs=str(certificates.authority.ca))

            def take_effect(admin: redis.Redis = admin, change: tuple[object, ...] = change) -> None:
                admin.execute_command("CONFIG", "SET", *map(str, change))
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal")

            ran = run(made(engine, "redis", target), (0.4, take_effect))
            admin.close()
        assert set(ran.outcomes()) <= {Outcome.OK, Outcome.REFUSED, Outcome.RESET}
        assert words in said(ran)


@pytest.mark.parametrize("number", [42, 45, 116, 250])
def test_both_engines_have_one_text_for_each_alert(number: int) -> None:
    words = ALERTS.get(number, "unknown number")
    assert words in TEXTS[WHY_OF_ALERT[number]]
    error = ssl.SSLError(1, "")
    error.reason = f"TLSV13_ALERT_{words.upper().replace(' ', '_')}"
    assert why_lost(error) == TEXTS[WHY_OF_ALERT[number]]
