"""Targets that are not ready when a run wants to begin: which are waited for, and for how long."""

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.stack.external import ExternalStack
from bench.stack.probes.health import Patience
from bench.stack.services.programs import find_server_binary
from bench.stack.target_url import target_of
from tests.helpers.tls_servers import free_port, running

LONG_S = 60.0
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
FATAL = b"SFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"

Serve = Callable[[Callable[[socket.socket], None]], int]


class Loading:
    """A Redis that loads its data until it is released; then it answers to PING and INFO."""

    def __init__(self) -> None:
        self.is_loaded = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        while question := connection.recv(1000):
            if not self.is_loaded.is_set():
                connection.sendall(LOADING)
            else:
                connection.sendall(b"+PONG\r\n" if b"PING" in question else b"$19\r\nredis_version:7.0.0\r\n")


def external(url: str, patience: Patience) -> ExternalStack:
    stack = ExternalStack({"cache"}, {"cache": target_of(url, name="cache", source="a test")})
    stack.patience = patience
    return stack


def test_a_redis_that_loads_its_data_is_waited_for_with_a_line_saying_so(scripted_server: Serve) -> None:
    server, said = Loading(), list[str]()

    def say(line: str) -> None:
        said.append(line)
        server.is_loaded.set()

    port = scripted_server(server)
    with external(f"redis://127.0.0.1:{port}", Patience(LONG_S, say=say)) as stack:
        (described,) = stack.describe()
    assert described.version == "7.0.0"
    assert said == [
        f"waiting up to 60 s for cache at 127.0.0.1:{port}: LOADING Redis is loading the dataset in memory"
    ]


def test_one_that_is_not_ready_in_time_ends_the_command_with_what_it_said(scripted_server: Serve) -> None:
    port = scripted_server(Loading())
    said = "found LOADING Redis.*; wait until it has loaded its data"
    with pytest.raises(TargetError, match=said) as failed:
        external(f"redis://127.0.0.1:{port}", Patience(0.3)).start()
    assert failed.value.passes == "starting"


def test_a_postgres_that_is_starting_up_may_be_waited_for(scripted_server: Serve) -> None:
    def starting(connection: socket.socket) -> None:
        while packet := connection.recv(1000):
            is_request_for_tls = packet[4:8] == b"\x04\xd2\x16\x2f"
            connection.sendall(b"N" if is_request_for_tls else b"E" + (len(FATAL) + 4).to_bytes(4) + FATAL)

    said: list[str] = []
    port = scripted_server(starting)
    with pytest.raises(TargetError, match=r"the database system is starting up.*--wait") as failed:
        external(f"postgresql://u:p@127.0.0.1:{port}/d", Patience(0.3, say=said.append)).start()
    assert failed.value.passes == "starting"
    assert len(said) == 1


def test_a_server_that_is_not_there_ends_the_command_at_once_unless_waiting_was_asked_for(
    tmp_path: Path,
) -> None:
    port, said = free_port(), list[str]()
    url = f"redis://127.0.0.1:{port}"
    with pytest.raises(TargetError, match="connection refused") as failed:
        external(url, Patience(LONG_S, say=said.append)).start()
    assert (failed.value.passes, said) == ("absent", [])
    with ExitStack() as started:

        def start(line: str) -> None:
            said.append(line)
            command = [str(find_server_binary().path), "--port", str(port), "--save", ""]
            started.enter_context(running(command, port, tmp_path))

        with external(url, Patience(LONG_S, for_absent=True, say=start)) as stack:
            assert stack.describe()[0].version
    assert said == [
        f"waiting up to 60 s for cache at 127.0.0.1:{port}: connection refused: nothing listens there"
    ]


def test_a_server_that_wants_a_password_is_not_waited_for(scripted_server: Serve) -> None:
    def refuse(connection: socket.socket) -> None:
        while connection.recv(1000):
            connection.sendall(b"-NOAUTH Authentication required.\r\n")

    said: list[str] = []
    with pytest.raises(TargetError, match="put the password into the URL"):
        external(
            f"redis://127.0.0.1:{scripted_server(refuse)}",
            Patience(LONG_S, for_absent=True, say=said.append),
        ).start()
    assert said == []
