"""Upstream is dead, deaf or slow: what its clients see through the proxy, and that nobody else waits."""

import contextlib
import resource
import select
import socket
import threading
from pathlib import Path

import pytest

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.plan.plan import PhasePlan, Plan
from bench.stack.services.loopback_port import free_loopback_port
from chaos.proxy.client import FaultProxy
from chaos.proxy.watch import ProxyWatch
from tests.chaos.proxy.ends import (
    DEADLINE_S,
    break_off,
    carries,
    is_silent,
    is_turned_away,
    opened,
    received,
    was_reset,
)
from tests.helpers.waiting import eventually


@contextlib.contextmanager
def served(port: int):
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


def refuses(proxy: FaultProxy) -> bool:
    try:
        is_turned_away(proxy.address)
    except ConnectionRefusedError:
        return True
    return False


def test_a_dead_upstream_is_refused_to_clients_and_comes_back_for_the_first_of_them():
    port = free_loopback_port()
    with FaultProxy("127.0.0.1", port) as proxy:
        assert is_turned_away(proxy.address)  # the kernel had accepted it before anybody could know
        eventually(lambda: refuses(proxy), "the port is closed")
        stats = proxy.stats()
        assert stats.upstream_refuses
        assert not stats.is_listening
        assert stats.upstream_refused >= 1
        with served(port) as listener:
            back = eventually(lambda: not proxy.stats().upstream_refuses, "upstream is found to be back")
            assert back
            with opened(proxy.address) as client, listener.accept()[0] as server:
                carries(client, server, 1_000)
                listener.settimeout(0.1)
                with pytest.raises(TimeoutError):  # what found it back is what serves the client
                    listener.accept()
        stats = proxy.stats()
        assert stats.refused_ns < stats.back_ns < monotonic_ns()


def test_a_return_of_upstream_is_seen_within_a_moment():
    port = free_loopback_port()
    with FaultProxy("127.0.0.1", port) as proxy:
        assert is_turned_away(proxy.address)
        eventually(lambda: refuses(proxy), "the port is closed")
        delays = []
        for _ in range(5):
            with served(port):
                begun = monotonic_ns()
                eventually(lambda: not proxy.stats().upstream_refuses, "it is back")
                delays.append(proxy.stats().back_ns - begun)
            with contextlib.suppress(ConnectionRefusedError):
                is_turned_away(proxy.address)
            eventually(lambda: proxy.stats().upstream_refuses, "it is gone again")
        assert min(delays) < 100_000_000


def test_live_connections_survive_that_upstream_stops_listening(listener):
    with (
        FaultProxy("127.0.0.1", listener.getsockname()[1]) as proxy,
        opened(proxy.address) as client,
        listener.accept()[0] as server,
    ):
        server.settimeout(DEADLINE_S)
        listener.close()
        assert is_turned_away(proxy.address)
        carries(client, server, 10_000)
        carries(server, client, 10_000)


@pytest.fixture
def deaf():
    """A port whose backlog is full: it neither accepts nor refuses. As behind a network that is gone."""
    with contextlib.ExitStack() as cleanup:
        listener = cleanup.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        got_in = True
        while got_in:
            filler = cleanup.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            got_in = bool(select.select([], [filler], [], 0.2)[1])
        yield listener


def test_a_deaf_upstream_costs_its_clients_the_deadline_and_nobody_else_anything(deaf):
    with FaultProxy("127.0.0.1", deaf.getsockname()[1], dial_deadline_s=0.5) as proxy:
        begun = monotonic_ns()
        with contextlib.ExitStack() as cleanup:
            clients = [cleanup.enter_context(opened(proxy.address)) for _ in range(50)]
            eventually(lambda: proxy.stats().waiting == 50, "all of them wait")
            assert all(was_reset(client) for client in clients)
        # One deadline for all of them, not one after the other.
        assert 500_000_000 <= monotonic_ns() - begun < 50 * 500_000_000 / 2
        stats = proxy.stats()
        assert (stats.dials_timed_out, stats.waiting, stats.connections) == (50, 0, 0)
        assert stats.is_listening  # it did not refuse


def test_an_upstream_that_resets_what_it_accepts_has_not_refused(proxy, listener):
    """The reset may come before the proxy has seen that it was connected."""
    stop = threading.Event()
    listener.settimeout(0.05)

    def break_all() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                break_off(listener.accept()[0])

    thread = threading.Thread(target=break_all)
    thread.start()
    try:
        assert all(is_turned_away(proxy.address) for _ in range(100))
    finally:
        stop.set()
        thread.join()
    stats = proxy.stats()
    assert (stats.upstream_refused, stats.is_listening, stats.resets_passed_on) == (0, True, 100)


def test_a_client_that_gives_up_during_the_dial_is_forgotten(deaf):
    with FaultProxy("127.0.0.1", deaf.getsockname()[1]) as proxy:
        client = opened(proxy.address)
        eventually(lambda: proxy.stats().waiting == 1, "it waits")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.close()
        eventually(lambda: proxy.stats().waiting == 0, "it is forgotten")


def test_an_upstream_that_is_slow_to_accept_gets_everything_that_was_sent(proxy, listener):
    with opened(proxy.address) as client:
        client.sendall(b"early")
        client.shutdown(socket.SHUT_WR)
        assert is_silent(client)
        with listener.accept()[0] as server:
            assert received(server, 10) == b"early"


def test_in_a_black_hole_no_client_learns_that_upstream_is_dead():
    with FaultProxy("127.0.0.1", free_loopback_port()) as proxy:
        assert is_turned_away(proxy.address)
        eventually(lambda: not proxy.stats().is_listening, "the port is closed")
        toxic = proxy.add("black_hole")
        with opened(proxy.address) as client:
            assert is_silent(client)
            proxy.remove(toxic)
            assert was_reset(client)


def test_an_upstream_by_name_is_resolved_and_an_unknown_one_is_named():
    with (
        served(0) as listener,
        FaultProxy("localhost", listener.getsockname()[1]) as proxy,
        opened(proxy.address) as client,
        listener.accept()[0] as server,
    ):
        carries(client, server, 100)
    unknown = FaultProxy("no..host", 1, name="redis")
    with pytest.raises(TargetError, match=r"target redis at no\.\.host:1: expected a host"):
        unknown.start()


def test_an_upstream_on_ipv6_is_reached():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with (
        listener,
        FaultProxy("::1", listener.getsockname()[1]) as proxy,
        opened(proxy.address) as client,
        listener.accept()[0] as server,
    ):
        carries(client, server, 100)


def test_a_port_that_is_taken_is_named(listener):
    port = listener.getsockname()[1]
    with pytest.raises(TargetError, match="Address already in use"):
        FaultProxy("127.0.0.1", port, port=port).start()


def test_connections_that_the_proxy_had_no_descriptor_for_are_a_limit_of_our_own_machine(proxy, listener):
    watch = ProxyWatch(proxy, Plan("p", 1, (PhasePlan("steady", True, 0, 10**9),), (), ""))
    entry = watch.entry(10**9, None)
    assert entry.dials_failed == 0
    assert watch.anomalies(entry, []) == []
    # Room for a client that comes in, and none for its way on.
    used = {int(one.name) for one in Path(f"/proc/{proxy.pid}/fd").iterdir()}
    second_free = [number for number in range(len(used) + 2) if number not in used][1]
    before = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (second_free, before[1]))
    try:
        assert is_turned_away(proxy.address)
        eventually(lambda: proxy.stats().dials_failed > 0, "it says that it had no descriptor")
    finally:
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, before)
    entry = watch.entry(10**9, None)
    (said,) = watch.anomalies(entry, [])
    assert (said.code, said.severity) == ("own_limit", "invalid")
    assert "this machine had no local port, no descriptor" in said.message
