"""The compiled loop of the proxy: it comes and goes under way, and tells how late it was."""

import contextlib
import signal
import socket
import threading
import time

import numpy as np
import psutil
import pytest

from bench.core import histogram
from bench.engine.wire import relay
from bench.engine.wire.relay import POOL
from chaos.proxy import loop
from chaos.proxy.client import FaultProxy
from chaos.proxy.loop import BUCKETS, HIGHEST_NS, bucket_of
from tests.chaos.proxy.ends import MS, carries, noise, opened, received, sending
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.parametrize("has_relay", [True], ids=["compiled"])
SHORT_S = 0.3


def test_it_stands_still_under_a_toxin_and_goes_on_afterwards(ends, proxy, has_relay):
    client, server = ends
    for _ in range(3):
        carries(client, server, 100_000)
        assert proxy.stats().relay == "running"
        toxic = proxy.add("latency", {"delay": MS})
        assert proxy.stats().relay == "standing still"
        carries(client, server, 100_000)
        carries(server, client, 100_000)
        proxy.remove(toxic)
    assert proxy.stats().relay == "running"
    assert proxy.stats().up_bytes == 600_000
    reset = proxy.add("reset", {"new_connections": False})
    assert proxy.stats().relay == "running"  # it was over at once
    proxy.remove(reset)


def test_a_transfer_that_began_before_it_was_loaded_goes_through_it_unchanged(listener, has_relay):
    with FaultProxy("127.0.0.1", listener.getsockname()[1]) as proxy, opened(proxy.address) as client:
        server, _ = listener.accept()
        data = noise(40_000_000)
        with server, sending(client, data):
            got = received(server, 1_000_000)
            assert proxy.await_relay()
            assert got + received(server, len(data) - len(got)) == data


def test_it_may_begin_and_end_at_any_moment_of_a_transfer(connected, proxy, has_relay):
    """With back pressure, so that there is always something in its buffers."""
    pairs = [connected() for _ in range(8)]
    data = [noise(3_000_000, number) for number in range(len(pairs))]
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            proxy.remove(proxy.add("slicer", {"bytes": 30_000, "direction": "down"}))

    changing = threading.Thread(target=change)
    with contextlib.ExitStack() as senders:
        for (client, _), each in zip(pairs, data, strict=True):
            senders.enter_context(sending(client, each))
        changing.start()
        for (_, server), each in zip(pairs, data, strict=True):
            assert received(server, len(each)) == each
        over.set()
        changing.join()


def test_more_readers_stand_still_than_it_has_buffers(connected, proxy, has_relay):
    pairs = [connected() for _ in range(POOL + 8)]
    data = noise(12_000_000)
    sent = [0] * len(pairs)
    for client, _ in pairs:
        client.setblocking(False)

    def send_more() -> bool:
        """The proxy may be slower than the senders, and then the kernel's buffers are full before its own."""
        for number, (client, _) in enumerate(pairs):
            with contextlib.suppress(BlockingIOError):
                while sent[number] < len(data):
                    sent[number] += client.send(data[sent[number] : sent[number] + 65_536])
        return bool(proxy.stats().held_up_bytes > 0)

    eventually(send_more, "something waits in the proxy")
    for (client, server), count in zip(pairs, sent, strict=True):
        assert received(server, count) == data[:count]
        client.setblocking(True)
        client.sendall(b"and on")
        assert received(server, 6) == b"and on"
    eventually(lambda: proxy.stats().held_up_bytes == 0, "nothing waits any more")


def test_its_lateness_is_what_the_kernel_saw_and_no_readers_fault(ends, proxy, has_relay):
    client, server = ends
    for _ in range(50):
        carries(client, server, 10)
    eventually(lambda: proxy.lateness().sum() >= 50, "the reads are counted")
    before = proxy.lateness()
    process = psutil.Process(proxy.pid)
    process.suspend()
    eventually(lambda: process.status() == psutil.STATUS_STOPPED, "it is stopped")
    client.sendall(b"late")
    time.sleep(SHORT_S)  # the time that it is late by
    process.send_signal(signal.SIGCONT)
    assert received(server, 4) == b"late"
    eventually(lambda: (proxy.lateness() - before).sum() == 1, "the read is counted")
    assert histogram.max_ns(proxy.lateness() - before) >= SHORT_S * 1e9


def test_a_reader_that_takes_its_time_makes_it_no_later(ends, proxy, has_relay):
    client, server = ends
    data = noise(20_000_000)
    with sending(client, data):
        time.sleep(SHORT_S)  # all buffers are full, and the bytes in the kernel grow old
        assert received(server, len(data)) == data
    assert proxy.lateness().sum() > 0
    assert histogram.percentile_ns(proxy.lateness(), 50) < SHORT_S * 1e9


def test_what_a_toxin_does_is_no_lateness(ends, proxy, has_relay):
    client, server = ends
    proxy.add("latency", {"delay": 200 * MS})
    before = proxy.lateness()
    for _ in range(3):
        client.sendall(b"x")
        assert received(server, 1) == b"x"
    late = proxy.lateness() - before
    assert late.sum() >= 3
    assert histogram.percentile_ns(late, 50) < 200 * MS


def test_it_can_be_led_to_another_upstream(proxy, has_relay):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert proxy.lead_to(*other.getsockname()) == proxy.address
        with opened(proxy.address) as client, other.accept()[0] as server:
            carries(client, server, 1_000)


def test_what_it_counts_is_read_without_asking_it(ends, proxy, has_relay):
    client, server = ends
    carries(client, server, 10)

    def count(column: int) -> int:
        return int(proxy.row(loop.RELAY)[column])

    eventually(lambda: count(loop.READS) >= 1, "the read is counted")  # after the bytes have left
    eventually(lambda: count(loop.TURNS) >= count(loop.READS), "the turn is counted")
    threads = {thread.id for thread in psutil.Process(proxy.pid).threads()}
    assert {int(proxy.row(number)[loop.THREAD]) for number in (loop.RELAY, loop.LOOP)} <= threads


@pytest.mark.parametrize("value", [0, 1, 2047, 2048, 2049, 123_456_789, HIGHEST_NS])
def test_a_time_has_the_same_bucket_without_numpy(value, has_relay):
    assert bucket_of(value) == histogram.bucket_of(value)
    assert (histogram.BUCKET_COUNT, histogram.HIGHEST_NS) == (BUCKETS, HIGHEST_NS)
    columns = (loop.TURNS, loop.READS, loop.SLEPT_NS, loop.MOST_READY)
    assert columns == (relay.TURNS, relay.READS, relay.SLEPT_NS, relay.MOST_READY)


def test_without_compiling_it_passes_the_same_bytes_on(listener, monkeypatch, has_relay):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with FaultProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
        assert proxy.await_relay()
        with opened(proxy.address) as client, listener.accept()[0] as server:
            carries(client, server, 300_000)
            carries(server, client, 300_000)
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
        assert np.any(proxy.lateness())


def test_where_it_cannot_be_loaded_the_proxy_says_why_and_serves(listener, monkeypatch, has_relay):
    monkeypatch.setattr("sys.path", ["/nowhere"])
    with FaultProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
        assert not proxy.await_relay()
        assert "ModuleNotFoundError" in proxy.stats().relay
        with opened(proxy.address) as client, listener.accept()[0] as server:
            carries(client, server, 1_000)
