"""The port of a service of ours."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.stack.services import loopback_port
from bench.stack.services.loopback_port import LOWEST_PORT, free_loopback_port, is_listener


def test_the_port_is_free_and_no_client_is_ever_given_it() -> None:
    first_for_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = free_loopback_port()
    assert port >= LOWEST_PORT
    assert port < first_for_clients or first_for_clients <= LOWEST_PORT + 1_000
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_that_is_listened_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_loopback_port())) as taken:
        free = free_loopback_port()
        draws = [taken.getsockname()[1], free]
        monkeypatch.setattr(loopback_port.random, "randint", lambda low, high: draws.pop(0))
        assert free_loopback_port() == free


@pytest.mark.parametrize("text", ["", "words here", "1024 65535"])
def test_a_strange_range_for_clients_is_survived(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text(text)
    monkeypatch.setattr(loopback_port, "_EPHEMERAL_RANGE", tmp_path / "range")
    assert free_loopback_port() >= LOWEST_PORT


def test_who_listens_is_told_from_who_does_not() -> None:
    with (
        socket.create_server(("127.0.0.1", free_loopback_port())) as listener,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        port = listener.getsockname()[1]
        assert is_listener(os.getpid(), port) is True
        assert is_listener(other.pid, port) is False
        assert other.stdin is not None
        other.stdin.close()
        # Ended and not collected, which hides its files from all but root.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert is_listener(other.pid, port) is False
    assert is_listener(other.pid, port) is False
