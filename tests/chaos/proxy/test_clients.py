"""Real clients and servers through the proxy, with and without toxics."""

import http.client
import http.server
import threading
from pathlib import Path

import psycopg
import pytest
import redis

from bench.stack.stack import open_stack
from chaos.proxy.client import FaultProxy
from tests.chaos.proxy.ends import MS
from tests.helpers.waiting import eventually


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory):
    with open_stack("embedded", {"redis", "postgres"}, Path(tmp_path_factory.mktemp("logs"))) as stack:
        yield stack.targets()


TOXINS = [
    ("latency", {"delay": 2 * MS, "delay_jitter": MS}),
    ("slicer", {"bytes": 200, "delay": MS // 50}),
    ("bandwidth", {"rate": 3_000_000}),
]


def test_redis_through_the_proxy_and_through_toxics(targets):
    target = targets["redis"]
    with FaultProxy(target.host, target.port, name="redis") as proxy:
        host, port = proxy.address
        client = redis.Redis(host, port, password=target.password, socket_timeout=20)
        value = bytes(range(256)) * 300
        for toxic in (None, *TOXINS):
            applied = proxy.add(*toxic) if toxic else None
            assert client.set("proxied", value)
            assert client.get("proxied") == value
            if applied:
                assert proxy.proof_of(applied).holds
                proxy.remove(applied)
        reset = proxy.add("reset", {"new_connections": False})
        assert proxy.proof_of(reset).holds
        assert client.get("proxied") == value  # its pool connects anew
        with client.pubsub() as listening:
            listening.subscribe("news")
            eventually(lambda: client.publish("news", "late") == 1, "it has subscribed")
            message = eventually(lambda: listening.get_message(timeout=1), "the subscription or its message")
            assert message["channel"] == b"news"
        client.close()


def test_postgres_through_the_proxy_and_through_toxics(targets):
    target = targets["postgres"]
    with FaultProxy(target.host, target.port, name="postgres") as proxy:
        host, port = proxy.address
        arguments = {
            "host": host,
            "port": port,
            "user": target.username,
            "password": target.password,
            "dbname": target.database,
        }
        with psycopg.connect(**arguments) as connection:
            for toxic in (None, *TOXINS):
                applied = proxy.add(*toxic) if toxic else None
                rows = connection.execute(
                    "SELECT i, repeat('x', 100) FROM generate_series(1, 500) i"
                ).fetchall()
                assert len(rows) == 500
                if applied:
                    proxy.remove(applied)
            proxy.add("reset", {"new_connections": False})
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(**arguments) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.path.encode() * 1_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_http_keep_alive_through_the_proxy_and_through_toxics():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with FaultProxy(*server.server_address) as proxy:
            connection = http.client.HTTPConnection(*proxy.address, timeout=20)
            for toxic in (None, *TOXINS):
                applied = proxy.add(*toxic) if toxic else None
                for page in ("/one", "/two"):
                    connection.request("GET", page)
                    answer = connection.getresponse()
                    assert answer.status == 200
                    assert answer.read() == page.encode() * 1_000
                if applied:
                    proxy.remove(applied)
            assert proxy.stats().accepted == 1
            connection.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_added_delay_is_measured_by_pairs(targets):
    from tests.benchmarks.durability.added_delay import measured

    target = targets["redis"]
    with FaultProxy(target.host, target.port) as proxy:
        proxy.add("latency", {"delay": 2 * MS})
        found = measured((target.host, target.port), proxy.address, blocks=1)
        assert len(found.direct_ns) == len(found.through_ns) == 200
        assert found.through_ns[0] >= 2 * MS  # of every round trip, on the busiest machine too
        assert found.added_ns(0.5) == found.through_ns[100] - found.direct_ns[100]
        assert "added   P50" in str(found)
