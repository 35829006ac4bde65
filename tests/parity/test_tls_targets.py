"""Both engines over TLS, against the distribution's Redis, nginx and PostgreSQL: let in or refused alike."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bench.cli.session_opening import load_for, named_stack
from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.api import Engine
from bench.engine.wire import openssl
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from bench.stack.probes.postgres import conninfo
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.engine.client.http_plans import http_plan
from tests.helpers.client_runs import client, plan_of, run
from tests.helpers.tls_servers import Certificates, Park, with_tls
from tests.parity.parity_runs import ENGINES

ONE = {"one": {"sql": "SELECT 1"}}
PLANS: dict[str, Callable[..., Plan]] = {
    "redis": plan_of,
    "http": http_plan,
    "postgres": lambda **more: plan_of(
        **({"target": "postgres", "driver": "postgres", "keys": None, "operations": ONE} | more)
    ),
}


def made(engine: str, target: Target, **workload: object) -> Engine:
    plan = PLANS[target.kind](**({"engine": engine, "phases": {"steady": "500ms"}} | workload))
    return client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)


def refusal(engine: str, target: Target) -> str:
    made_one = made(engine, target)
    try:
        with pytest.raises(TargetError) as caught:
            made_one.prepare()
    finally:
        made_one.close()
    return str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("mutual", [False, True], ids=["", "mutual"])
def test_load_goes_over_tls_and_every_answer_counts_once(
    park: Park, certificates: Certificates, kind: str, engine: str, mutual: bool
) -> None:
    target = park.target(kind, mutual=mutual)
    if mutual:
        certificate, key = certificates.ours
        target = with_tls(target, certificate=certificate, key=key)
    ran = run(made(engine, target))
    assert set(ran.outcomes()) == {Outcome.OK}
    assert sum(ran.outcomes().values()) == ran.result.taken.sum() > 50
    assert [code for code, *_ in ran.result.anomalies if code != "generator_stalled"] == []
    assert ran.result.counters["lost_connections"] == 0


@pytest.mark.parametrize("kind", PLANS)
def test_large_requests_and_answers_take_many_records(park: Park, kind: str) -> None:
    large = {"value": {"bytes": 1_000_000}, "lanes": 2, "rate": "20/s"}
    operations = {
        "redis": {"set": {"commands": [["SET", "{key}", "{value}"], ["GET", "{key}"]]}},
        "http": {"post": {"request": {"path": "/", "method": "POST", "body": "{value}"}}},
        "postgres": {"echo": {"sql": "SELECT {value}::text"}},
    }
    ran = run(made("wire", park.target(kind), operations=operations[kind], **large))
    assert set(ran.outcomes()) == {Outcome.OK}
    assert ran.result.counters["bytes_sent"] > 1_000_000 * ran.result.taken.sum()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", PLANS)
def test_a_certificate_that_cannot_be_trusted_is_refused_before_the_run_with_the_reason(
    park: Park, certificates: Certificates, kind: str, engine: str
) -> None:
    words = {
        "another authority": refusal(engine, with_tls(park.target(kind), ca=certificates.other.ca)),
        "expired": refusal(engine, park.target(kind, "expired")),
        "another name": refusal(engine, park.target(kind, "elsewhere")),
    }
    assert "certificate" in words["another authority"]
    assert "expire" in words["expired"]
    assert "mismatch" in words["another name"] or "does not match" in words["another name"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", PLANS)
def test_what_is_not_to_be_checked_is_not_checked(park: Park, kind: str, engine: str) -> None:
    named = with_tls(park.target(kind, "elsewhere"), server_name="elsewhere.example")
    unchecked = with_tls(park.target(kind, "expired"), verify=False, ca=None)
    nameless = with_tls(park.target(kind, "elsewhere"), check_name=False)
    for target in (named, unchecked, nameless):
        ran = run(made(engine, target, phases={"steady": "200ms"}))
        assert set(ran.outcomes()) == {Outcome.OK}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_server_that_wants_our_certificate_is_the_reason(park: Park, kind: str, engine: str) -> None:
    assert "certificate" in refusal(engine, park.target(kind, mutual=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_password_is_proven_by_scram_over_tls(park: Park, engine: str) -> None:
    target = park.target("postgres", "ours")
    with psycopg.connect(conninfo(target), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS app")
        admin.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
        ((rules,),) = admin.execute("SHOW hba_file").fetchall()
        usual = Path(rules).read_text()
        Path(rules).write_text(f"hostssl all app 127.0.0.1/32 scram-sha-256\n{usual}")
        admin.execute("SELECT pg_reload_conf()")
        try:
            user = replace(target, username="app", password="right", database="postgres")
            ran = run(made(engine, user))
            said = refusal(engine, replace(user, password="wrong"))
        finally:
            Path(rules).write_text(usual)
            admin.execute("SELECT pg_reload_conf()")
    assert set(ran.outcomes()) == {Outcome.OK}
    assert 'password authentication failed for user "app"' in said


def test_the_sample_of_tls_fits_its_own_stack() -> None:
    sample = Path(__file__).parents[2] / "scenarios" / "tls" / "redis_tls.yaml"
    loaded = load_for(named_stack(None, [sample]), sample, ())
    assert {one.target for one in loaded.scenario.workloads} == {"secured", "plain"} == set(loaded.topology)


def test_without_openssl_the_other_engine_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openssl, "LIBRARY", None)
    with pytest.raises(TargetError, match=r"expected OpenSSL .*engine: client"):
        openssl.TlsClient(Target("redis", "redis", "127.0.0.1", 1, tls=TlsSettings()))
    assert openssl.address_of("SSL_read") != 0, "the loop can be linked all the same"


def test_lanes_that_come_back_leave_nothing_of_their_sessions_behind(park: Park) -> None:
    """nginx closes each connection after its answer."""
    target = park.target("http")
    once = {"get": {"request": {"path": "/once"}}}

    def reconnecting(phase: str) -> int:
        workload = {"operations": once, "arrivals": "closed", "rate": None, "parameters": None}
        ran = run(made("wire", target, phases={"steady": phase}, **workload))
        assert set(ran.outcomes()) == {Outcome.OK}
        return int(ran.result.counters["closed_after_answer"])

    reconnecting("200ms")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = reconnecting("2s")
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert count > 200
    assert grown_kb < 15 * count + 20_000, "a session of OpenSSL is more than 15 KB"
