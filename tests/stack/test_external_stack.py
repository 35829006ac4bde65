"""Servers that someone else runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.errors import TargetError
from bench.stack import external
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A server that plays the user's own."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("HOLDFAST_ALLOW_HOSTS", raising=False)
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        yield stack.targets()["redis"]


@pytest.fixture
def external_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Stack]:
    monkeypatch.delenv("HOLDFAST_ALLOW_HOSTS", raising=False)

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
        assert described["server"] in ("redis", "valkey")
        assert described["pid"] is None
        assert stack.events() == []


def test_leaving_the_external_stack_leaves_the_server_alone(
    running: Target, external_stack: Callable[[str], Stack]
) -> None:
    for _ in range(2):
        with external_stack(f"redis://localhost:{running.port}") as stack:
            assert stack.describe()[0]["state"] == "up"


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
    monkeypatch.setattr(external, "probe_redis", lambda target, _: asked.append(target.host))
    monkeypatch.setattr(external, "_usable", lambda _, facts: facts)
    with pytest.raises(TargetError, match=f"set HOLDFAST_ALLOW_HOSTS={bare}".replace(".", r"\.")):
        external_stack(f"redis://{host}:6379").start()
    assert asked == []
    monkeypatch.setenv("HOLDFAST_ALLOW_HOSTS", f"elsewhere, {host}")
    external_stack(f"redis://{host}:6379").start()
    assert asked == [bare]


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
