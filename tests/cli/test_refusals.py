"""What `bench run` refuses: placed, with the right exit code, in time, and without a secret."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.command_line import Bench
from tests.helpers.other_work import is_excused
from tests.helpers.scenarios import BRIEF
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.timeout(300)

SECRET = "correct-horse-battery"


@contextmanager
def listening(answer: bytes) -> Iterator[int]:
    """A server that says `answer` to whatever it reads; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            try:
                connection.recv(65536)
                if answer:
                    connection.sendall(answer)
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for connection in connections:
            connection.close()


@contextmanager
def redis_with_password(folder: Path) -> Iterator[str]:
    """A real server that wants SECRET; its URL."""
    import subprocess

    from bench.stack.services.programs import find_server_binary

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = find_server_binary().path
    server = subprocess.Popen(
        [
            str(program),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--requirepass",
            SECRET,
            "--save",
            "",
            "--dir",
            folder,
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: accepts(port), "the server accepts connections")
        yield f"redis://:{SECRET}@127.0.0.1:{port}/3"
    finally:
        server.kill()
        server.wait()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def everything_in(folder: Path) -> str:
    return "".join(path.read_bytes().decode(errors="replace") for path in folder.rglob("*") if path.is_file())


def test_a_password_reaches_no_output_and_no_file(bench: Bench, tmp_path: Path) -> None:
    home = tmp_path / "server"
    home.mkdir()
    scenario = bench.scenario()
    with redis_with_password(home) as url:
        done = bench.run(scenario, "--quick", REDIS_URL=url)
        refused = bench.run(scenario, "--quick", REDIS_URL=url.replace(SECRET, SECRET + "-wrong"))
    assert done.code == 0 or is_excused(bench.folders()[0]), done.err
    assert refused.code == 4
    assert "redis" in refused.err
    seen = done.out + done.err + refused.out + refused.err + everything_in(bench.results)
    assert SECRET not in seen
    assert bench.record()["stack"]["kind"] == "external"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="http"),
        pytest.param(b"", id="silence", marks=pytest.mark.long),
        pytest.param(b"\x00\xff\x00\xff\r\n", id="garbage"),
    ],
)
def test_what_is_no_redis_is_told_with_the_target_and_what_was_found(bench: Bench, answer: bytes) -> None:
    with listening(answer) as port:
        start = time.monotonic()
        done = bench.run(bench.scenario(), REDIS_URL=f"redis://127.0.0.1:{port}")
        assert time.monotonic() - start < 60
    assert done.code == 4
    assert f"127.0.0.1:{port}" in done.err
    assert "expected" in done.err
    assert "found" in done.err
    assert "Traceback" not in done.err


def test_nobody_listening_is_exit_4(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = bench.run(bench.scenario(), REDIS_URL=f"redis://127.0.0.1:{port}")
    assert done.code == 4
    assert "refused" in done.err


def test_load_leaves_this_machine_only_by_name(bench: Bench) -> None:
    done = bench.run(bench.scenario(), REDIS_URL="redis://192.0.2.1:6379")
    assert done.code == 4
    assert "HOLDFAST_ALLOW_HOSTS" in done.err


def test_all_problems_of_all_scenarios_come_at_once_and_nothing_starts(bench: Bench) -> None:
    bench.scenario(BRIEF.replace("rate: 500/s", "rate: fast"), "a.yaml")
    bench.scenario(BRIEF.replace("lanes: 8", "lanse: 8").replace("p95 < 3s", "p95 < 3MB"), "b.yaml")
    done = bench.run(bench.folder)
    assert done.code == 3
    places = [line.split(":")[0].rpartition("/")[2] for line in done.err.splitlines()]
    assert places.count("a.yaml") >= 1
    assert places.count("b.yaml") >= 2
    assert not bench.results.exists()
