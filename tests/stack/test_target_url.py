"""Reading URLs of targets: what is understood, and that no refusal shows a password."""

import traceback
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import Conninfo

from bench.core.errors import TargetError
from bench.stack.target import Target, address_of
from bench.stack.target_url import target_of, url_of
from bench.stack.tls import TlsSettings

SECRET = "s3cr3t-hunter2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", ("localhost", 6379, None, None, 0)),
        ("redis://localhost:7000/", ("localhost", 7000, None, None, 0)),
        ("redis://:pass@10.0.0.1:7000/3", ("10.0.0.1", 7000, None, "pass", 3)),
        ("redis://user:p%40ss%2F@[::1]:1/15", ("::1", 1, "user", "p@ss/", 15)),
        ("  REDIS://Host  ", ("host", 6379, None, None, 0)),
    ],
)
def test_a_redis_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.username, target.password, target.db) == expected


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"rediss://:{SECRET}@host?ssl_cert_reqs=maybe", "an ssl_cert_reqs that does not exist"),
        (f"rediss://:{SECRET}@host?ssl_{SECRET}=1", "an option that is not known"),
        (f"http://:{SECRET}@host", "does not begin with redis://"),
        (f"{SECRET}:pw@host:6379", "does not begin with redis://"),
        (f"{SECRET}", "does not begin with redis://"),
        (f"redis://:{SECRET}/@host", "cannot be read"),
        (f"redis://user:123/{SECRET}@host", "not a number"),
        (f"redis://user:123#{SECRET}@host", "a ? or a #"),
        (f"redis://user:123?{SECRET}@host", "a ? or a #"),
        (f"redis://:{SECRET}@host:99999", "cannot be read"),
        (f"redis://:{SECRET}@host:port", "cannot be read"),
        (f"redis://:{SECRET}@host:0", "port 0"),
        (f"redis://:{SECRET}@[::1", "cannot be read"),
        (f"redis://:{SECRET}@/0", "without a host"),
        (f"redis://:{SECRET}@host/zero", "not a number"),
        (f"redis://:{SECRET}@host/-1", "not a number"),
        (f"redis://{SECRET}@host", "a user without a password"),
        ("", "does not begin with redis://"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_what_may_be_secret(url: str, found: str) -> None:
    text = refusal(url, "redis")
    assert found in text
    assert "redis://[user:password@]host[:port][/database]" in text


@pytest.mark.parametrize(
    ("url", "kind", "port", "path", "tls"),
    [
        ("http://host", "http", 80, "", False),
        ("http://[::1]:8000/base/", "http", 8000, "/base", False),
        ("https://host/a%20b", "http", 443, "/a%20b", True),
        ("tcp://host:22", "tcp", 22, "", False),
        ("elasticsearch://host", "elasticsearch", 9200, "", False),
        ("elasticsearch+https://host/search", "elasticsearch", 9200, "/search", True),
        ("neo4j://host", "neo4j", 7687, "", False),
        ("bolt://host:1/", "neo4j", 1, "", False),
        ("bolt+s://host", "neo4j", 7687, "", True),
        ("neo4j+http://host", "neo4j", 7474, "", False),
        ("proxy://host", "proxy", 80, "/ping", False),
        ("proxy://host/", "proxy", 80, "", False),
        ("proxy+https://host/status/live", "proxy", 443, "/status/live", True),
        ("postgres://host", "postgres", 5432, "", False),
    ],
)
def test_the_scheme_says_the_kind_and_the_default_port(
    url: str, kind: str, port: int, path: str, tls: bool
) -> None:
    target = target_of(url)
    assert (target.kind, target.port, target.path, bool(target.tls)) == (kind, port, path, tls)


def test_a_postgres_url_is_read_with_its_options() -> None:
    target = target_of(
        "postgresql://us%40er:p%2Fw+@host:7000/my%20data?sslmode=verify-full&options=-c%20a%3Db+c"
    )
    assert (target.username, target.password, target.database) == ("us@er", "p/w+", "my data")
    assert target.options == (("options", "-c a=b+c"),)
    assert target.tls == TlsSettings()


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_an_sslmode_that_does_not_insist_is_no_tls(mode: str) -> None:
    assert not target_of(f"postgresql://host?sslmode={mode}").tls


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("sslmode=require", TlsSettings(verify=False)),
        ("sslmode=verify-ca", TlsSettings(check_name=False)),
        ("sslmode=verify-full", TlsSettings()),
        # As libpq has it: who names an authority wants it to be used.
        ("sslmode=require&sslrootcert=/ca.pem", TlsSettings(ca=Path("/ca.pem"), check_name=False)),
        (
            "sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&ssl_server_name=db.internal",
            TlsSettings(Path("/ca.pem"), Path("/c.pem"), Path("/k.pem"), "db.internal"),
        ),
    ],
)
def test_an_sslmode_says_how_much_of_the_certificate_is_checked(options: str, expected: TlsSettings) -> None:
    assert target_of(f"postgresql://host/db?{options}").tls == expected


def test_a_rediss_url_takes_the_options_of_redis_py() -> None:
    target = target_of(
        "rediss://:pw@host:6380/2?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_check_hostname=False"
    )
    assert (target.port, target.db) == (6380, 2)
    assert target.tls == TlsSettings(Path("/ca.pem"), Path("/c.pem"), Path("/k.pem"), check_name=False)


def test_a_postgres_user_needs_no_password() -> None:
    target = target_of("postgresql://user@host/data")
    assert (target.username, target.password) == ("user", None)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"postgresql://user:1?{SECRET}@host/db", "options that cannot be read"),
        (f"postgresql://user:1?{SECRET}=x@host/db", "an option that is not known"),
        (f"postgresql://user:1/{SECRET}@host/db", "an @ behind the first /"),
        (f"postgresql://user:1#{SECRET}@host/db", "a ? or a #"),
        (f"postgresql://u:{SECRET}@host/db?sslmode=maybe", "an sslmode that does not exist"),
        (f"postgresql://u:{SECRET}@host/db?sslrootcert=/ca.pem", "certificates without an sslmode"),
        (f"postgresql://u:{SECRET}@host/db?sslmode=require&sslmode=disable", "given twice"),
        (f"postgresql://u:{SECRET}@host/db?connect_timeout=soon", "not a number"),
        (f"postgresql://u:{SECRET}@one:5432/a/b", "whose name cannot be read"),
        (f"postgresql://u@host/a?sslpassword={SECRET}", "libpq's option sslpassword"),
        (f"postgresql://u:{SECRET}@one,two/a?target_session_attrs=best", "a target_session_attrs that does"),
        (f"postgresql://u:{SECRET}@one,two/a?load_balance_hosts=yes", "a load_balance_hosts that does not"),
        (f"postgresql://u:{SECRET}@one,,two/a", "a URL without a host"),
        (f"postgresql://u:{SECRET}@/a", "a URL without a host"),
        (f"postgresql://u:{SECRET}@one:1,two:0/a", "port 0"),
        (f"postgresql://u:{SECRET}@one:1,two:x/a", "cannot be read"),
        (f"postgresql://u:{SECRET}@one,two,three/a?port=1,2", "2 ports for 3 hosts"),
        (f"postgresql://u:{SECRET}@one,%2Frun/a?sslmode=require", "TLS, and a socket file among"),
        (f"unix://:{SECRET}@host/run/redis.sock", "a host before the path"),
        (f"unix://:{SECRET}@/", "a path that cannot be read"),
        (f"unix://:{SECRET}@/run/redis.sock?db=x", "a database that is not a number"),
        (f"unix://:{SECRET}@/run/redis.sock?{SECRET}=x", "an option that is not known"),
        (f"http://u:{SECRET}@%2Frun%2Fapi.sock", "a socket file"),
        (f"postgresql://u:{SECRET}%00@host/db", "a NUL"),
        (f"http://user:1/{SECRET}@host", "an @ behind the first /"),
        (f"http://u:{SECRET}@host/a b", "a path with spaces"),
        (f"http://u:{SECRET}@host/?q=1", "a ? or a #"),
        (f"https://u:{SECRET}@host/?q=1", "an option that is not known"),
        (f"http://{SECRET}@host/", "a user without a password"),
        (f"tcp://u:{SECRET}@host:1", "a user or a password"),
        (f"tcp://{SECRET}", "without a port"),
        ("tcp://host:1/x", "something behind the port"),
        (f"neo4j://neo4j:{SECRET}@host", "a user or a password"),
        (f"mysql://u:{SECRET}@host", "does not begin with a scheme known here"),
        (f"https://host?ssl_check_hostname={SECRET}", "neither true nor false"),
        (f"redis://:{SECRET}\udc80@host", "cannot be read"),
    ],
)
def test_a_wrong_url_of_any_kind_is_refused_without_its_secret(url: str, found: str) -> None:
    assert found in refusal(url)


@pytest.mark.parametrize(
    ("url", "file", "login", "database"),
    [
        ("unix:///run/redis.sock", "/run/redis.sock", (None, None), 0),
        ("unix://user:p%40ss@/run/my%20redis.sock?db=3", "/run/my redis.sock", ("user", "p@ss"), 3),
        ("unix://:pw@/run/redis.sock", "/run/redis.sock", (None, "pw"), 0),
    ],
)
def test_a_redis_at_a_socket_file_is_read_as_redis_py_reads_it(
    url: str, file: str, login: tuple[str | None, str | None], database: int
) -> None:
    target = target_of(url)
    assert (target.socket_file, target.address) == (file, file)
    assert (target.username, target.password, target.db) == (*login, database)


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("postgresql://one,two/db", [("one", 5432), ("two", 5432)]),
        ("postgresql://u:p%40@one:1,[::1]:2,three/db", [("one", 1), ("::1", 2), ("three", 5432)]),
        ("postgresql:///db?host=one,two&port=7", [("one", 7), ("two", 7)]),
        ("postgresql:///db?host=one,two&port=7,8", [("one", 7), ("two", 8)]),
        ("postgresql://three/db?host=one", [("one", 5432)]),
        ("postgresql:///db?host=/run/postgresql", [("/run/postgresql", 5432)]),
        ("postgresql://%2FRun%2Fpostgresql:7/db?sslmode=verify-full", [("/Run/postgresql", 7)]),
    ],
)
def test_the_places_of_a_postgres_are_read_as_libpq_reads_them(
    url: str, places: list[tuple[str, int]]
) -> None:
    target = target_of(url)
    assert list(target.endpoints) == places
    assert (target.database, target.tls) == ("db", None)
    said = {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.parse(url.encode())}
    assert said["host"].strip("[]").split(",") == [host for host, _ in places]
    assert len(places) == 1 or target.address == ", ".join(address_of(*place) for place in places)


def test_the_login_may_stand_among_the_options() -> None:
    target = target_of(f"postgresql://u:p@host/db?user=me&password={SECRET}&dbname=mine")
    assert (target.username, target.password, target.database) == ("me", SECRET, "mine")
    assert target.options == ()


def test_every_option_of_libpq_is_used_or_refused_by_its_name() -> None:
    values = {"sslmode": "require", "connect_timeout": "1", "target_session_attrs": "any"}
    values |= {"load_balance_hosts": "random", "port": "1", "host": "h"}
    for option in Conninfo.get_defaults():
        name = option.keyword.decode()
        refused = ""
        try:
            target_of(f"postgresql://u@host/a?sslmode=require&{name}={values.get(name, 'x')}")
        except TargetError as error:
            refused = str(error)
        assert not refused or f"libpq's option {name}" in refused or "given twice" in refused, name


def test_a_url_of_another_kind_than_the_wanted_one_is_refused() -> None:
    text = refusal(f"http://u:{SECRET}@host", "postgres")
    assert "expected postgresql://[user[:password]@]host" in text
    assert "does not begin with postgresql://" in text


@given(
    kind=st.sampled_from(["redis", "postgres", "http", "elasticsearch", "proxy"]),
    user=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    host=st.sampled_from(["localhost", "127.0.0.1", "::1"]),
    port=st.integers(1, 65535),
    path=st.from_regex(r"(/[a-z%20]{1,5}){0,3}", fullmatch=True),
    database=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    tls=st.none()
    | st.builds(
        TlsSettings,
        ca=st.none() | st.just(Path("/certs/c a&b.pem")),
        certificate=st.none() | st.just(Path("/certs/bench.pem")),
        key=st.none() | st.just(Path("/certs/bench.key")),
        server_name=st.none() | st.just("cache.internal"),
    ),
    checks=st.sampled_from(["chain and name", "chain", "nothing"]),
    places=st.lists(
        st.tuples(st.sampled_from(["db1", "::1", "/run/My pg"]), st.integers(1, 65535)), max_size=3
    ),
)
def test_a_target_written_as_a_url_is_read_back(
    kind: str,
    user: str,
    password: str,
    host: str,
    port: int,
    path: str,
    database: str,
    tls: TlsSettings | None,
    checks: str,
    places: list[tuple[str, int]],
) -> None:
    if tls is not None and checks == "chain":
        tls = replace(tls, check_name=False)
    elif tls is not None and checks == "nothing":
        # libpq would check with an authority that is named: then there is none to be kept.
        tls = replace(tls, verify=False, ca=None)
    is_http = kind in ("http", "elasticsearch", "proxy")
    is_at_file = kind == "redis" and places
    if is_at_file or (kind == "postgres" and any(place.startswith("/") for place, _ in places)):
        tls = None
    several = places if kind == "postgres" and len(places) > 1 else ()
    target = Target(
        "redis",
        kind,
        ("/run/a b.sock" if is_at_file else host) if not several else "",
        (0 if is_at_file else port) if not several else 0,
        user,
        password,
        db=7 if kind == "redis" else 0,
        database=database if kind == "postgres" else "",
        path=path if is_http else "",
        tls=tls,
        hosts=tuple(several),
        options=(("target_session_attrs", "read-write"),) if several else (),
    )
    assert target_of(url_of(target)) == target


def refusal(url: str, kind: str | None = None) -> str:
    with pytest.raises(TargetError) as caught:
        target_of(url, kind=kind)
    text = str(caught.value)
    assert SECRET not in text
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return text


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_any_user_and_password_survive_percent_encoding(user: str, password: str) -> None:
    target = target_of(f"redis://{quote(user, safe='')}:{quote(password, safe='')}@host:1/2")
    assert (target.username, target.password) == (user, password)


@given(st.text())
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    read_or_refused(text)


@given(
    st.sampled_from(["redis", "postgresql", "https", "tcp", "elasticsearch", "neo4j+http", "proxy"]),
    st.text(st.sampled_from("ab1:/@#?&=%[].,+ é"), max_size=30),
)
def test_any_text_behind_a_known_scheme_is_a_target_or_a_target_error(scheme: str, rest: str) -> None:
    read_or_refused(f"{scheme}://{rest}")


def read_or_refused(text: str) -> None:
    try:
        target = target_of(text)
    except TargetError:
        return
    for host, port in target.endpoints:
        assert host
        assert port or target.socket_file


def test_neither_repr_nor_address_shows_the_password() -> None:
    target = target_of(f"redis://user:{SECRET}@[::1]:7000")
    assert SECRET not in repr(target) + str(target) + target.address
    assert target.address == "[::1]:7000"
