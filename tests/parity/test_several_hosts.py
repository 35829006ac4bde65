"""A Postgres of several hosts, or of one name with several addresses: lanes find the one that they need."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.embedded import EmbeddedStack
from bench.stack.external import ExternalStack
from bench.stack.probes.postgres import conninfo, probe_postgres
from bench.stack.target import Target, address_of
from bench.stack.target_url import target_of, url_of
from chaos.integrity.readers import connected
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.parity import raw_servers
from tests.parity.parity_runs import ENGINES
from tests.parity.raw_servers import RawServer

LANES = 4
INSERT = {"insert": {"sql": "INSERT INTO written VALUES (1)"}}
BOTH = ("127.0.0.2", "127.0.0.3")
Pair = tuple[Target, Target]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with EmbeddedStack({"postgres", "postgres_16"}, tmp_path_factory.mktemp("logs")) as stack:
        targets = stack.targets()
        first, other = targets["postgres"], targets["postgres_16"]
        with psycopg.connect(conninfo(other), autocommit=True) as admin:
            word = psycopg.sql.Literal(first.password)
            admin.execute(psycopg.sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(word))
        second = replace(first, host=other.host, port=other.port)
        for one in (first, second):
            with psycopg.connect(conninfo(one), autocommit=True) as admin:
                admin.execute("CREATE TABLE written (n int)")
        yield first, second


@pytest.fixture
def roles(pair: Pair) -> Iterator[Pair]:
    """The first takes writes, the second takes none."""
    turn(pair, 0)
    yield pair
    for one in pair:
        set_read_only(one, "off")


def set_read_only(target: Target, word: str) -> None:
    with psycopg.connect(conninfo(target), autocommit=True) as admin:
        admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {word}".encode())
        admin.execute("SELECT pg_reload_conf()")


def turn(pair: Pair, primary: int) -> None:
    """Make one of them take writes, the other none."""
    set_read_only(pair[1 - primary], "on")
    set_read_only(pair[primary], "off")


def of_both(pair: Pair, attribute: str, *, turned: bool = False) -> Target:
    """One target of both, as its URL is read."""
    first, second = reversed(pair) if turned else pair
    url = url_of(first).replace(first.address, f"{first.address},{second.address}")
    return target_of(f"{url}?target_session_attrs={attribute}", name="postgres")


def ran(
    engine: str, target: Target, *actions: object, operations: object = INSERT, length: str = "1s"
) -> Ran:
    plan = plan_of(
        engine=engine, target="postgres", driver="postgres", pool=LANES, lanes=LANES, keys=None,
        operations=operations, rate="100/s", phases={"steady": length},
    )  # fmt: skip
    made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)
    return run(made, *actions)  # type: ignore[arg-type]  # pairs of a second and a call


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("turned", [False, True])
def test_lanes_that_need_to_write_are_led_past_a_host_that_takes_no_writes(
    roles: Pair, engine: str, turned: bool
) -> None:
    found = ran(engine, of_both(roles, "read-write", turned=turned))
    assert found.outcomes() == {Outcome.OK: 100}
    assert not found.result.errors


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("attribute", "place"), [("read-only", 1), ("any", 0), ("primary", 0), ("prefer-standby", 0)]
)
def test_each_kind_of_session_is_looked_for_as_libpq_does(
    roles: Pair, engine: str, attribute: str, place: int
) -> None:
    port = roles[place].port
    asked = {"ask": {"sql": f"SELECT 1 / (current_setting('port') = '{port}')::int"}}
    target = of_both(roles, attribute)
    assert ran(engine, target, operations=asked, length="300ms").outcomes() == {Outcome.OK: 30}
    stack = ExternalStack({"postgres"}, {"postgres": target})
    stack.start()
    assert stack.targets()["postgres"].address == roles[place].address
    with connected(target) as connection:
        assert connection.info.port == port


@pytest.mark.parametrize("engine", ENGINES)
def test_a_kind_of_session_that_no_host_has_is_refused_with_the_reason(roles: Pair, engine: str) -> None:
    target = of_both(roles, "standby")
    with pytest.raises(TargetError) as caught:
        ran(engine, target)
    assert caught.value.exit_code == 4
    with pytest.raises(TargetError, match="as target_session_attrs asks") as probed:
        probe_postgres(target)
    said = str(probed.value)
    assert roles[0].address in said
    assert roles[1].address in said
    assert "hot standby" in said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("attribute", ["read-write", "any"])
def test_lanes_that_meet_a_primary_that_was_demoted_find_the_new_one(
    roles: Pair, engine: str, attribute: str
) -> None:
    found = ran(engine, of_both(roles, attribute), (0.5, lambda: turn(roles, 1)), length="2s")
    outcomes = found.outcomes()
    # For a moment none of them takes writes: whoever is in need of one then is let in nowhere.
    assert set(outcomes) <= {Outcome.OK, Outcome.ERROR, Outcome.REFUSED}
    assert outcomes.get(Outcome.REFUSED, 0) + outcomes.get(Outcome.ERROR, 0) < 50
    assert outcomes[Outcome.OK] > 100, "well before the end they are at work again"
    (said,) = [text for code, _, text, *_ in found.result.anomalies if code == "addresses"]
    assert said.index(roles[0].address) < said.index(roles[1].address)
    assert found.result.counters["lost_connections"] == 0


@pytest.fixture
def named(roles: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Target, list[str]]]:
    """A target by a name, and the addresses to which it leads: of the first Postgres and of the second."""
    with contextlib.ExitStack() as cleanup:
        port = 0
        for address, behind in zip(BOTH, roles, strict=True):
            serve = raw_servers.postgres({}, (behind.host, behind.port))
            server = RawServer(serve, address=address, port=port)
            cleanup.callback(server.close)
            port = server.port
        leads_to = [BOTH[0]]
        resolve = socket.getaddrinfo

        def getaddrinfo(host: str, port: int, *args: int, **kwargs: int) -> list[tuple[object, ...]]:
            if host != "db.test" or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                return resolve(host, port, *args, **kwargs)  # type: ignore[return-value]
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (address, port)) for address in leads_to]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield replace(roles[0], host="db.test", port=port), leads_to


@pytest.mark.parametrize(
    ("engine", "leads_to"),
    [
        pytest.param("wire", list(BOTH), id="wire-both"),
        pytest.param("client", [BOTH[1]], id="client-new"),
        pytest.param("wire", [BOTH[1]], id="wire-new", marks=pytest.mark.long),
        pytest.param("client", list(BOTH), id="client-both", marks=pytest.mark.long),
        *(
            pytest.param(engine, list(reversed(BOTH)), id=f"{engine}-new first", marks=pytest.mark.long)
            for engine in ENGINES
        ),
    ],
)
def test_lanes_follow_the_name_of_a_primary_that_moves(
    roles: Pair, named: tuple[Target, list[str]], engine: str, leads_to: tuple[str, ...]
) -> None:
    """A name that leads to the old one too must not bring them back to it for ever."""
    target, now = named

    def move() -> None:
        now[:] = leads_to
        turn(roles, 1)

    found = ran(engine, target, (0.5, move), length="2s")
    outcomes = found.outcomes()
    assert set(outcomes) <= {Outcome.OK, Outcome.ERROR}, [error.text for error in found.result.errors]
    assert outcomes[Outcome.OK] > 100
    assert outcomes.get(Outcome.ERROR, 0) <= 3 * LANES, "a lane is refused once, and finds the other place"
    (said,) = [text for code, _, text, *_ in found.result.anomalies if code == "addresses"]
    for address in BOTH:
        assert address_of(address, target.port) in said
