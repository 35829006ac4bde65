"""Servers that someone else runs, and the choice of a stack."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.registry import SERVICES, url_variables
from bench.stack import external
from bench.stack.embedded import EmbeddedStack
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from bench.stack.target_url import url_of


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*url_variables().values(), "HOLDFAST_ALLOW_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """Servers that play the user's own."""
    with EmbeddedStack({"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack.targets()


@pytest.fixture
def running(servers: dict[str, Target]) -> Target:
    return servers["redis"]


@pytest.fixture
def external_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Stack]:
    def stack_at(url: str) -> Stack:
        monkeypatch.setenv("REDIS_URL", url)
        return open_stack(None, {"redis"}, tmp_path)

    return stack_at


def test_a_url_in_the_environment_means_the_external_stack(
    running: Target, external_stack: Callable[[str], Stack]
) -> None:
    with external_stack(f"redis://{running.address}/2") as stack:
        target = stack.targets()["redis"]
        (described,) = stack.describe()
        assert stack.kind == "external"
        assert (target.address, target.db, target.managed) == (running.address, 2, False)
        assert described.server in ("redis", "valkey")
        assert described.pid is None
        assert stack.events() == []


def test_leaving_the_external_stack_leaves_the_server_alone(
    running: Target, external_stack: Callable[[str], Stack]
) -> None:
    for _ in range(2):
        with external_stack(f"redis://localhost:{running.port}") as stack:
            assert stack.describe()[0].state == "up"


def test_asking_for_external_without_an_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", " ")
    with pytest.raises(TargetError, match="REDIS_URL empty or not set"):
        open_stack("external", {"redis"}, tmp_path)


def test_a_target_that_has_no_variable_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="target search at the external stack"):
        open_stack("external", {"search"}, tmp_path)


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::7]", "0.0.0.0"])
def test_another_machine_is_refused_unless_it_is_allowed_by_name(
    host: str, external_stack: Callable[[str], Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = host.strip("[]")
    asked: list[str] = []
    monkeypatch.setattr(external, "ask_when_ready", lambda target, *_: asked.append(target.host))
    monkeypatch.setattr(external, "_usable", lambda _, facts: facts)
    with pytest.raises(TargetError, match=f"set HOLDFAST_ALLOW_HOSTS={bare}".replace(".", r"\.")):
        external_stack(f"redis://{host}:6379").start()
    assert asked == []
    monkeypatch.setenv("HOLDFAST_ALLOW_HOSTS", f"elsewhere, {host}")
    external_stack(f"redis://{host}:6379").start()
    assert asked == [bare]


def test_the_choice_is_external_where_the_environment_names_one_of_the_needed(
    running: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url_of(running))
    assert open_stack(None, {"postgres"}, tmp_path).kind == "embedded"
    with pytest.raises(TargetError, match="set DATABASE_URL=postgresql://"):
        open_stack(None, {"redis", "postgres"}, tmp_path)


def test_each_kind_of_target_has_its_variable(
    servers: dict[str, Target], scripted_server: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 204 Fine\r\nServer: little\r\n\r\n")

    monkeypatch.setenv("REDIS_URL", url_of(servers["redis"]))
    monkeypatch.setenv("DATABASE_URL", url_of(servers["postgres"]))
    monkeypatch.setenv("DATABASE_16_URL", url_of(servers["postgres"]))
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{scripted_server(behave)}/base")
    with open_stack(None, {"redis", "postgres", "postgres_16", "api"}, Path()) as stack:
        described = {entry.name: entry for entry in stack.describe()}
        assert {name: entry.kind for name, entry in described.items()} == {
            name: SERVICES[name].kind.name for name in url_variables()
        }
        assert described["postgres"].started_by == "not by us: DATABASE_URL"
        assert described["postgres_16"].server == "postgres"
        assert described["api"].server == "little"
        assert [row.state for row in stack.health()] == ["up"] * 4
        assert servers["postgres"].password
        assert str(servers["postgres"].password) not in str(described) + str(stack.health())


@pytest.mark.parametrize(
    ("name", "url", "form"),
    [
        ("redis", "postgresql://:guess-4711@127.0.0.1", "redis://"),
        ("postgres", "redis://:guess-4711@127.0.0.1", "postgresql://"),
        ("api", "tcp://127.0.0.1:80", "http://"),
    ],
)
def test_a_url_of_another_kind_than_the_target_is_refused(
    name: str, url: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(url_variables()[name], url)
    with pytest.raises(TargetError, match=f"does not begin with {form}") as caught:
        open_stack(None, {name}, tmp_path)
    assert "guess-4711" not in str(caught.value)


def test_a_database_on_another_machine_is_refused_unless_it_is_allowed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:guess-4711@192.0.2.7/data")
    monkeypatch.setenv("API_URL", "http://192.0.2.8")
    for name, host in (("postgres", "192.0.2.7"), ("api", "192.0.2.8")):
        with pytest.raises(TargetError, match=f"set HOLDFAST_ALLOW_HOSTS={host}"):
            open_stack(None, {name}, tmp_path).start()


def test_a_wrong_password_stops_the_start_and_is_not_shown(
    running: Target, external_stack: Callable[[str], Stack]
) -> None:
    with pytest.raises(TargetError) as caught:
        external_stack(f"redis://:guess-4711@{running.address}").start()
    assert "guess-4711" not in str(caught.value)
    assert running.address in str(caught.value)


@pytest.mark.parametrize("mode", ["cluster", "sentinel"])
def test_a_server_that_does_not_hold_all_keys_is_refused(
    mode: str, scripted_server: Callable[..., int], external_stack: Callable[[str], Stack]
) -> None:
    info = f"redis_version:7.4.0\r\nredis_mode:{mode}\r\n".encode()

    def behave(connection: object) -> None:
        for answer in (b"+PONG\r\n", b"$%d\r\n%s\r\n" % (len(info), info)):
            connection.recv(4096)  # type: ignore[attr-defined]
            connection.sendall(answer)  # type: ignore[attr-defined]

    with pytest.raises(TargetError, match=f"expected a standalone Redis, found a Redis in {mode} mode"):
        external_stack(f"redis://127.0.0.1:{scripted_server(behave)}").start()
