"""Without a toxic the proxy is not there: bytes, ends, resets and back pressure go through."""

import contextlib
import gc
import os
import select
import socket
import threading

import pytest

from tests.chaos.proxy.ends import (
    break_off,
    carries,
    descriptor_limit,
    noise,
    open_descriptors,
    opened,
    received,
    rest,
    sending,
    was_reset,
)
from tests.helpers.waiting import eventually

BOTH_LOOPS = pytest.mark.parametrize(
    "has_relay", [False, pytest.param(True, marks=pytest.mark.long)], ids=["python", "compiled"]
)


def send_for_ever(stream: socket.socket) -> None:
    while True:
        stream.sendall(bytes(65_536))


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 8_000_000])
@BOTH_LOOPS
def test_bytes_arrive_unchanged_in_both_directions_at_once(ends, size):
    client, server = ends
    there, back = noise(size, 1), noise(size, 2)
    with sending(client, there), sending(server, back):
        got = []
        reader = threading.Thread(target=lambda: got.append(received(server, size)))
        reader.start()
        assert received(client, size) == back
        reader.join()
    assert got == [there]


@BOTH_LOOPS
def test_half_close_is_passed_on_and_the_other_half_goes_on(ends):
    client, server = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert rest(server) == b"question"
    carries(server, client, 1_000_000)
    server.close()
    assert client.recv(1) == b""


@BOTH_LOOPS
def test_the_server_may_close_first(ends):
    client, server = ends
    server.sendall(b"bye")
    server.shutdown(socket.SHUT_WR)
    assert rest(client) == b"bye"
    client.sendall(b"me too")
    client.close()
    assert rest(server) == b"me too"


@BOTH_LOOPS
def test_a_large_answer_before_a_close_arrives_whole(ends, proxy):
    client, server = ends
    answer = noise(5_000_000)
    with sending(server, answer, then_end=True):
        assert rest(client) == answer
    client.close()
    assert server.recv(1) == b""
    eventually(lambda: proxy.stats().connections == 0, "the proxy forgets the connection")


@BOTH_LOOPS
def test_a_reset_of_the_client_reaches_upstream_as_a_reset(ends, proxy):
    client, server = ends
    client.sendall(b"x")
    assert server.recv(1) == b"x"
    break_off(client)
    assert was_reset(server)
    assert proxy.stats().resets_passed_on == 1


@BOTH_LOOPS
def test_a_reset_of_upstream_reaches_the_client_as_a_reset(ends):
    client, server = ends
    carries(client, server, 100)
    break_off(server)
    assert was_reset(client)


@BOTH_LOOPS
def test_a_client_that_closed_and_is_still_sent_to_resets_upstream(ends):
    client, server = ends
    client.close()
    assert server.recv(1) == b""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(server)


@BOTH_LOOPS
def test_a_reset_after_half_close_is_passed_on(ends):
    client, server = ends
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    break_off(client)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(server)


@BOTH_LOOPS
def test_a_reader_that_takes_nothing_stops_the_sender(ends, proxy):
    client, server = ends
    client.setblocking(False)
    sent = 0
    data = noise(50_000_000)
    # Until nothing has gone for a while: all buffers on the way are full.
    while select.select([], [client], [], 0.3)[1]:
        sent += client.send(data[sent : sent + 65_536])
    assert sent < len(data)
    assert proxy.stats().held_up_bytes <= 65_536
    client.setblocking(True)
    with sending(client, data[sent:]):
        assert received(server, len(data)) == data


def test_a_blocked_connection_does_not_hold_up_another(connected):
    stuck, _ = connected()
    stuck.setblocking(False)
    while select.select([], [stuck], [], 0.3)[1]:
        stuck.send(bytes(65_536))
    client, server = connected()
    carries(client, server, 1_000_000)
    carries(server, client, 1_000_000)


@BOTH_LOOPS
def test_two_thousand_connections_carry_their_own_bytes_and_leave_nothing(proxy, listener):
    count = min(2_000, (descriptor_limit() - 200) // 4)
    before = open_descriptors(proxy.pid)
    with contextlib.ExitStack() as cleanup:
        clients = [cleanup.enter_context(opened(proxy.address)) for _ in range(count)]
        for number, client in enumerate(clients):
            client.sendall(number.to_bytes(4, "big"))
        servers = {}
        for _ in range(count):
            server = cleanup.enter_context(listener.accept()[0])
            servers[int.from_bytes(received(server, 4), "big")] = server
        assert sorted(servers) == list(range(count))
        for number, server in servers.items():
            server.sendall(number.to_bytes(4, "little"))
        for number, client in enumerate(clients):
            assert received(client, 4) == number.to_bytes(4, "little")
        stats = proxy.stats()
        assert (stats.connections, stats.accepted, stats.waiting) == (count, count, 0)
    eventually(lambda: proxy.stats().connections == 0, "all connections end")
    assert open_descriptors(proxy.pid) == before
    assert proxy.stats().up_bytes == proxy.stats().down_bytes == 4 * count


def test_connections_are_freed_without_the_collector(listener):
    """The program runs with it off: its pauses would be in somebody's latency."""
    from chaos.proxy.connection import Connection
    from chaos.proxy.flow import Flow
    from chaos.proxy.front import Dial
    from chaos.proxy.loop import Loop
    from chaos.proxy.messages import Specification
    from chaos.proxy.proxy import Proxy

    loop = Loop()
    made = Proxy(
        loop,
        Specification(
            harness_pid=os.getpid(),
            upstream_host="127.0.0.1",
            upstream_port=listener.getsockname()[1],
            listen_host="127.0.0.1",
            listen_port=0,
            dial_deadline_ns=10**10,
            gauges=-1,
            packages=None,
        ),
    )
    wake, waker = os.pipe()
    loop.register(wake, select.EPOLLIN, lambda _mask: loop.end())
    thread = threading.Thread(target=loop.run)
    gc.collect()
    gc.disable()
    try:
        thread.start()
        for end in ("orderly", "reset", "upstream first") * 5:
            client = opened(made.address)
            server, _ = listener.accept()
            carries(client, server, 10)
            first, second = (server, client) if end == "upstream first" else (client, server)
            if end == "reset":
                break_off(first)
                assert was_reset(second)
            else:
                first.close()
                assert second.recv(1) == b""
            second.close()

        def alive() -> list[object]:
            return [each for each in gc.get_objects() if isinstance(each, Connection | Flow | Dial)]

        eventually(lambda: not alive(), "the last connection is freed")
    finally:
        gc.enable()
        os.write(waker, b"x")
        thread.join()
        os.close(wake)
        os.close(waker)
        made.close()
        loop.close()
