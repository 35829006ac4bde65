"""The distribution's Redis, nginx and PostgreSQL over TLS: who is let in, and why not where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.probes.http import probe_http
from bench.stack.probes.postgres import probe_postgres
from bench.stack.probes.redis import probe_redis
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.engine.client.http_plans import http_plan
from tests.helpers.client_runs import client, plan_of, run
from tests.helpers.tls_servers import Authority, nginx_over_tls, postgres_over_tls, redis_over_tls

PROBES: dict[str, Callable[[Target], object]] = {
    "redis": probe_redis,
    "http": probe_http,
    "postgres": probe_postgres,
}
SERVERS: dict[str, Callable[..., AbstractContextManager[int]]] = {
    "redis": redis_over_tls,
    "http": nginx_over_tls,
    "postgres": postgres_over_tls,
}


@dataclass
class Certificates:
    """What the tests trust, show and refuse."""

    authority: Authority
    other: Authority
    right: tuple[Path, Path]
    expired: tuple[Path, Path]
    elsewhere: tuple[Path, Path]
    ours: tuple[Path, Path]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    return Certificates(
        authority,
        Authority(folder, "other"),
        authority.sign("right", "server"),
        authority.sign("expired", "server", days=-1),
        authority.sign("elsewhere", "server", names="DNS:elsewhere.example"),
        authority.sign("ours", "postgres"),
    )


class Park:
    """Servers by kind and certificate, each started when it is first asked for."""

    def __init__(self, certificates: Certificates, folder: Path) -> None:
        self._certificates, self._folder = certificates, folder
        self._started: dict[tuple[str, str, bool], int] = {}
        self._stack = ExitStack()

    def target(self, kind: str, shown: str = "right", *, mutual: bool = False) -> Target:
        wanted = (kind, shown, mutual)
        if wanted not in self._started:
            folder = self._folder / "-".join(map(str, wanted))
            pair: tuple[Path, Path] = getattr(self._certificates, shown)
            server = SERVERS[kind](folder, self._certificates.authority.ca, pair, mutual=mutual)
            self._started[wanted] = self._stack.enter_context(server)
        trusted = TlsSettings(ca=self._certificates.authority.ca)
        user = "postgres" if kind == "postgres" else None
        return Target(kind, kind, "127.0.0.1", self._started[wanted], username=user, tls=trusted)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def park(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Park]:
    servers = Park(certificates, tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


def refusal(target: Target) -> str:
    with pytest.raises(TargetError) as caught:
        PROBES[target.kind](target)
    text = str(caught.value)
    assert "password" not in text
    return text


def with_tls(target: Target, **changes: object) -> Target:
    assert target.tls is not None
    return replace(target, tls=replace(target.tls, **changes))  # type: ignore[arg-type]  # fields of TlsSettings


@pytest.mark.parametrize("kind", PROBES)
def test_a_server_whose_authority_is_trusted_is_let_answer(park: Park, kind: str) -> None:
    PROBES[kind](park.target(kind))


@pytest.mark.parametrize("kind", PROBES)
def test_an_authority_that_did_not_sign_the_certificate_is_the_reason(
    park: Park, certificates: Certificates, kind: str
) -> None:
    text = refusal(with_tls(park.target(kind), ca=certificates.other.ca))
    assert "trusted here" in text
    assert "verify failed" in text or "issuer" in text or "self-signed" in text


@pytest.mark.parametrize("kind", PROBES)
def test_an_expired_certificate_is_the_reason(park: Park, kind: str) -> None:
    assert "expire" in refusal(park.target(kind, "expired"))


@pytest.mark.parametrize("kind", PROBES)
def test_another_name_than_the_certificates_is_the_reason_and_can_be_declared(park: Park, kind: str) -> None:
    target = park.target(kind, "elsewhere")
    text = refusal(target)
    assert "mismatch" in text or "does not match host name" in text
    PROBES[kind](with_tls(target, server_name="elsewhere.example"))


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("shown", ["expired", "elsewhere"])
def test_nothing_is_checked_where_verification_is_off(park: Park, kind: str, shown: str) -> None:
    PROBES[kind](with_tls(park.target(kind, shown), verify=False, ca=None))


@pytest.mark.parametrize("kind", PROBES)
def test_a_host_that_is_not_found_is_the_reason_whatever_the_servers_name_is(kind: str) -> None:
    tls = TlsSettings(server_name="cache.example")
    text = refusal(Target(kind, kind, "nowhere.invalid", 1, username="u", tls=tls))
    assert "nowhere.invalid" in text


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_server_that_wants_a_client_certificate_says_so_and_takes_one(
    park: Park, certificates: Certificates, kind: str
) -> None:
    target = park.target(kind, mutual=True)
    assert "certificate" in refusal(target)
    ours, key = certificates.ours
    key.chmod(0o600)
    PROBES[kind](with_tls(target, certificate=ours, key=key))


@pytest.mark.parametrize("kind", PROBES)
def test_the_client_engines_send_their_load_over_tls(park: Park, kind: str) -> None:
    target = park.target(kind)
    plan = {
        "redis": lambda: plan_of(phases={"steady": "1s"}),
        "http": lambda: http_plan(phases={"steady": "1s"}),
        "postgres": lambda: plan_of(
            phases={"steady": "1s"},
            target="postgres",
            driver="postgres",
            keys=None,
            operations={"one": {"sql": "SELECT 1"}},
        ),
    }[kind]()
    ran = run(client(plan, target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK}


def test_the_wire_engine_refuses_tls_before_the_run_and_names_the_other_engine() -> None:
    target = Target("redis", "redis", "127.0.0.1", 1, tls=TlsSettings())
    plan = plan_of(engine="wire", lanes=1)
    engine = WireEngine(plan, plan.workloads[0], target)
    try:
        with pytest.raises(TargetError, match=r"without TLS for the wire engine.*engine: client"):
            engine.prepare()
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("certificate", "key", "found"),
    [
        ("missing.pem", None, "no such file"),
        ("right.pem", "missing.key", "no such file"),
        ("right.pem", "ours.key", "a key of another certificate"),
        ("right.csr", "right.key", "nothing of the kind"),
        (None, "right.key", "only its key"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    certificates: Certificates, certificate: str | None, key: str | None, found: str
) -> None:
    folder = certificates.authority.folder
    settings = TlsSettings(
        certificate=folder / certificate if certificate else None, key=folder / key if key else None
    )
    with pytest.raises(TargetError, match=found):
        settings.context("cache", "127.0.0.1:1")


def test_an_authority_that_is_missing_or_none_is_named(certificates: Certificates) -> None:
    folder = certificates.authority.folder
    for name, found in (("missing.pem", "no such file"), ("right.key", "nothing of the kind")):
        with pytest.raises(TargetError, match=found) as caught:
            TlsSettings(ca=folder / name).context("cache", "127.0.0.1:1")
        assert name in str(caught.value)
