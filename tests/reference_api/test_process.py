"""The process: how it ends, what it says about itself, and clients that dawdle."""

import contextlib
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.helpers.waiting import eventually
from tests.reference_api.api_process import PATIENCE_S, SHORT_MS, SHORT_S, SLACK_S, Api, Servers


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_though_connections_are_open(
    start_api: Callable[..., Api], number: signal.Signals
) -> None:
    api = start_api()
    with contextlib.ExitStack() as connections:
        for _ in range(10):
            client = connections.enter_context(connect(api))
            client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 ")
        begin_s = time.monotonic()
        api.process.send_signal(number)
        assert api.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - begin_s < 1.0 + SLACK_S
    assert "Traceback" not in api.close()


def test_a_signal_ends_it_though_requests_hang(start_api: Callable[..., Api], servers: Servers) -> None:
    api = start_api()
    api.until_up()
    answers = []
    with servers.stopped("postgres"):
        threads = [threading.Thread(target=lambda: answers.append(api.get("/items"))) for _ in range(3)]
        for thread in threads:
            thread.start()
        eventually(lambda: api.metric("pool_in_use", component="postgres") == 3, "all connections are in use")
        api.process.terminate()
        assert api.process.wait(PATIENCE_S) == 0
        for thread in threads:
            thread.join(PATIENCE_S)
    assert [answer.status for answer in answers] == [503] * 3
    assert "Traceback" not in api.close()


def test_sigkill_leaves_nothing_and_the_port_is_free(start_api: Callable[..., Api]) -> None:
    api = start_api()
    api.process.kill()
    api.process.wait(PATIENCE_S)
    with pytest.raises(ConnectionRefusedError):
        connect(api)
    again = start_api(API_PORT=str(api.port))
    assert again.port == api.port
    again.until_up()


def test_a_body_that_does_not_come_is_408_within_the_deadline(start_api: Callable[..., Api]) -> None:
    api = start_api(API_DEADLINE_MS=str(SHORT_MS))
    with connect(api) as client:
        begin_s = time.monotonic()
        head = (
            "POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n"
        )
        client.sendall(head.encode() + b"{")
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begin_s < SHORT_S + SLACK_S


def test_requests_in_one_write_are_answered_in_order(api: Api) -> None:
    with connect(api) as client:
        client.sendall(b"".join(b"GET /items/%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(61, 71)))
        received = b""
        while received.count(b'{"id":') < 10 and (piece := client.recv(65536)):
            received += piece
    ids = [int(piece.partition(b",")[0]) for piece in received.split(b'{"id":')[1:]]
    assert ids == list(range(61, 71))


def test_clients_that_do_not_wait_for_their_answer_do_no_harm(
    start_api: Callable[..., Api], servers: Servers
) -> None:
    api = start_api(API_DEADLINE_MS=str(SHORT_MS))
    api.until_up()
    with servers.stopped("postgres"):
        for linger in (True, False) * 5:
            with connect(api) as client:
                if linger:  # closed with a reset
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(b"GET /items?limit=5 HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
        eventually(lambda: api.metric("requests_in_flight") == 1, "a request is in flight")
    api.until_up()
    assert api.get("/items?limit=5").status == 200
    assert api.close() == ""


def test_a_body_that_is_no_json_is_422(api: Api) -> None:
    with connect(api) as client:
        head = (
            "POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
        )
        client.sendall(head.encode() + b"{]")
        assert client.recv(4096).startswith(b"HTTP/1.1 422 ")


def test_the_documentation_has_every_route_with_its_summary(api: Api) -> None:
    assert api.get("/docs").status == 200
    paths = api.get("/openapi.json").json["paths"]
    assert paths.keys() == {
        "/items",
        "/items/{item_id}",
        "/orders",
        "/orders/{order_id}",
        "/login",
        "/carts",
        "/carts/{cart_id}/items",
        "/carts/{cart_id}/order",
        "/health",
        "/metrics",
    }
    for methods in paths.values():
        for operation in methods.values():
            assert operation["summary"]


def test_health_says_how_long_it_has_been_up(api: Api) -> None:
    health = api.get("/health").json
    assert health["uptime_s"] > 0
    assert health["version"]
    for component in health["components"].values():
        assert component.keys() == {"state", "breaker", "latency_ms"}
        assert (component["state"], component["breaker"]) == ("up", "closed")


def test_requests_are_counted_by_route_and_status(api: Api) -> None:
    before = api.metric("requests_total", method="GET", route="/items/{item_id}", status="404")
    hits = api.metric("cache_reads_total", result="hit")
    for _ in range(3):
        api.get("/items/999999998")
    api.get("/items/71")
    api.get("/items/71")
    assert api.metric("requests_total", method="GET", route="/items/{item_id}", status="404") == before + 3
    assert api.metric("cache_reads_total", result="hit") == hits + 1
    for n in range(3):
        assert api.get(f"/no/such/path/{n}").status == 404
    assert api.ask("PROPFIND", "/items/1").status == 405
    text = api.get("/metrics").body.decode()
    assert "/no/such" not in text
    assert "PROPFIND" not in text


def test_metrics_can_be_read_by_a_prometheus(api: Api) -> None:
    """Every sample belongs to a family that was announced, and buckets only grow."""
    text = api.get("/metrics").body.decode()
    families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    buckets: dict[str, list[float]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, value = line.partition("{")[0].partition(" ")[0], float(line.rpartition(" ")[2])
        family = name if name in families else name.rpartition("_")[0]
        assert family in families, line
        if name.endswith("_bucket"):
            buckets.setdefault(line.partition(",le=")[0], []).append(value)
    assert buckets
    for counts in buckets.values():
        assert counts == sorted(counts)


def test_the_pool_of_postgres_is_never_exceeded(start_api: Callable[..., Api], servers: Servers) -> None:
    from concurrent.futures import ThreadPoolExecutor

    api = start_api(API_POOL="2", API_REDIS_POOL="1")
    api.until_up()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(api.get, ["/items?limit=3", "/items/72"] * 100))
    assert {answer.status for answer in answers} == {200}
    assert api.component("redis")["breaker"] == "closed"
    assert api.metric("pool_in_use", component="postgres") == 0
    assert api.metric("pool_size", component="postgres") == 2


def test_importing_the_package_is_light() -> None:
    import sys

    program = "import bench.reference_api, sys; print('fastapi' in sys.modules, 'asyncpg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
