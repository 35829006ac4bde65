"""Every toxic on real sockets, on live and on new connections."""

import contextlib
import errno
import socket
import threading
import time

import pytest

from bench.core.clock import monotonic_ns
from chaos.proxy.messages import Effects
from chaos.proxy.toxic import ToxicError
from tests.chaos.proxy.ends import (
    MS,
    break_off,
    carries,
    is_silent,
    noise,
    received,
    rest,
    sending,
    was_reset,
)
from tests.helpers.waiting import eventually

HARMLESS = {
    "latency": [("latency", {"delay": 5 * MS, "delay_jitter": 5 * MS})],
    "bandwidth": [("bandwidth", {"rate": 5_000_000})],
    "slicer": [("slicer", {"bytes": 7_001, "delay": MS // 10})],
    "slow_close": [("slow_close", {"delay": 10 * MS})],
    "black_hole": [],
    "all together": [
        ("slow_close", {"delay": 10 * MS}),
        ("slicer", {"bytes": 7_001, "delay": MS // 10}),
        ("bandwidth", {"rate": 5_000_000}),
        ("latency", {"delay": 5 * MS, "delay_jitter": 5 * MS}),
        ("limit_data", {"bytes": 10**9}),
        ("reset", {"new_connections": False}),
    ],
}


COMPILED = pytest.mark.parametrize("has_relay", [True], ids=["compiled"])
"""Beside the compiled loop, from which the toxic takes the connections over."""


@pytest.mark.parametrize("toxics", HARMLESS.values(), ids=HARMLESS)
def test_random_bytes_and_ends_go_unchanged_through(toxics, connected, proxy):
    live = connected() if not any(kind == "reset" for kind, _ in toxics) else None
    for kind, settings in toxics:
        proxy.add(kind, settings)
    for client, server in filter(None, (live, connected())):
        carries(client, server, 500_000, 1)
        carries(server, client, 500_000, 2)
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        carries(server, client, 1_000, 3)
        server.close()
        assert client.recv(1) == b""
    eventually(lambda: proxy.stats().connections == 0, "both have ended")


@COMPILED
def test_toxics_that_come_and_go_during_a_transfer_lose_nothing(connected, proxy):
    """Every kind of change on bytes under way, in both directions, on several connections."""
    pairs = [connected() for _ in range(4)]
    there, back = noise(6_000_000, 1), noise(6_000_000, 2)
    got: dict[tuple[int, str], bytes] = {}
    with contextlib.ExitStack() as cleanup:
        readers = []
        for number, (client, server) in enumerate(pairs):
            cleanup.enter_context(sending(client, there))
            cleanup.enter_context(sending(server, back))
            for name, stream in (("there", server), ("back", client)):
                readers.append(
                    threading.Thread(
                        target=lambda key, stream: got.__setitem__(key, received(stream, len(there))),
                        args=((number, name), stream),
                    )
                )
                readers[-1].start()
        for round_ in range(4):
            latency = proxy.add("latency", {"delay": 3 * MS, "delay_jitter": 3 * MS})
            slicer = proxy.add("slicer", {"bytes": 30_000 + round_, "direction": "up"})
            hole = proxy.add("black_hole", {"direction": ("both", "up", "down", "both")[round_]})
            bandwidth = proxy.add("bandwidth", {"rate": 20_000_000})
            proxy.remove(hole)
            proxy.remove(latency)
            proxy.remove(bandwidth)
            proxy.remove(slicer)
        for reader in readers:
            reader.join()
    assert all(got[number, "there"] == there and got[number, "back"] == back for number in range(4))
    stats = proxy.stats()
    assert (stats.in_force, stats.held_up_bytes, stats.held_down_bytes) == ((), 0, 0)


@pytest.mark.parametrize(("direction", "times"), [("both", 2), ("up", 1), ("down", 1)])
def test_latency_delays_a_round_trip_at_least_by_its_delay(ends, connected, proxy, direction, times):
    toxic = proxy.add("latency", {"delay": 30 * MS, "direction": direction})
    assert toxic.asked_ns <= toxic.effective_ns <= toxic.applied_ns <= toxic.returned_ns
    assert toxic.connections == 1
    for client, server in (ends, connected()):
        begun = monotonic_ns()
        client.sendall(b"?")
        server.sendall(server.recv(1))
        assert client.recv(1) == b"?"
        assert monotonic_ns() - begun >= times * 30 * MS
    proof = proxy.proof_of(toxic)
    assert proof.holds, proof.text
    assert f"{2 * times} reads delayed with {2 * times} bytes" in proof.text
    proxy.remove(toxic)
    assert toxic not in proxy.active()


def test_many_reads_are_under_latency_at_once(ends, proxy):
    """A delay, not a turn each: fifty messages take one delay and not fifty."""
    client, server = ends
    proxy.add("latency", {"delay": 200 * MS, "direction": "up"})
    begun = monotonic_ns()
    for _ in range(50):
        client.sendall(b"x" * 10)
        time.sleep(0.001)
    assert received(server, 500) == b"x" * 500
    assert 200 * MS <= monotonic_ns() - begun < 50 * 200 * MS / 4


@COMPILED
def test_bytes_under_latency_flow_at_once_when_it_is_removed(ends, proxy):
    client, server = ends
    toxic = proxy.add("latency", {"delay": 3600 * 1000 * MS})
    data = noise(300_000)
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    eventually(lambda: proxy.stats().held_up_bytes == len(data), "all of it is under way")
    assert is_silent(server)
    effective_ns = proxy.remove(toxic)
    assert effective_ns > toxic.returned_ns
    assert rest(server) == data


def test_what_is_under_latency_is_bounded(ends, proxy):
    client, _ = ends
    proxy.add("latency", {"delay": 3600 * 1000 * MS})
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(50_000_000))
    assert proxy.stats().held_up_bytes <= 1_048_576 + 65_536


def test_bandwidth_takes_its_time_and_no_other_connections(ends, connected, proxy):
    client, server = ends
    toxic = proxy.add("bandwidth", {"rate": 1_000_000, "direction": "up"})
    begun = monotonic_ns()
    carries(client, server, 200_000)
    assert monotonic_ns() - begun >= 200 * MS
    carries(server, client, 5_000_000)
    assert proxy.proof_of(toxic).holds
    other_client, other_server = connected()
    begun = monotonic_ns()
    with sending(client, bytes(100_000)):
        carries(other_client, other_server, 100_000)
        assert received(server, 100_000) == bytes(100_000)
    assert monotonic_ns() - begun >= 100 * MS


def test_a_slicer_hands_over_small_pieces(ends, proxy):
    client, server = ends
    toxic = proxy.add("slicer", {"bytes": 100, "delay": 2 * MS, "direction": "down"})
    begun = monotonic_ns()
    server.sendall(noise(1_000))
    parts = []
    while sum(map(len, parts)) < 1_000:
        parts.append(client.recv(1_000))
    assert monotonic_ns() - begun >= 9 * 2 * MS
    assert b"".join(parts) == noise(1_000)
    assert len(parts[0]) % 100 == 0
    assert proxy.effects(toxic) == Effects(10, 1_000)
    carries(client, server, 1_000_000)


def test_slow_close_delays_the_end_and_not_the_bytes(ends, connected, proxy):
    toxic = proxy.add("slow_close", {"delay": 150 * MS, "direction": "up"})
    for client, server in (ends, connected()):
        client.sendall(b"last words")
        ended = monotonic_ns()
        client.shutdown(socket.SHUT_WR)
        assert received(server, 10) == b"last words"
        assert server.recv(1) == b""
        assert monotonic_ns() - ended >= 150 * MS
        server.close()
        assert client.recv(1) == b""
    assert proxy.proof_of(toxic).text.startswith("the proxy counts 2 ends delayed")


def test_a_removed_slow_close_lets_the_end_go(ends, proxy):
    client, server = ends
    toxic = proxy.add("slow_close", {"delay": 3600 * 1000 * MS})
    client.shutdown(socket.SHUT_WR)
    assert is_silent(server)
    proxy.remove(toxic)
    assert server.recv(1) == b""


@pytest.mark.parametrize("limit", [1, 1_000, 65_536, 65_537, 300_000])
def test_limit_data_ends_a_connection_after_exactly_its_bytes(ends, connected, proxy, limit):
    client, server = ends
    carries(server, client, 5_000)
    toxic = proxy.add("limit_data", {"bytes": limit, "direction": "down"})
    for client, server in (ends, connected()):
        data = noise(400_000)
        with sending(server, data):
            assert rest(client) == data[:limit]
            assert rest(server) == b""  # closed on both sides
            client.close()
    assert proxy.effects(toxic) == Effects(2, 2 * limit)


@COMPILED
def test_limit_data_lets_a_slow_reader_have_all_of_it(ends, proxy):
    client, server = ends
    proxy.add("limit_data", {"bytes": 3_000_000, "direction": "down"})
    data = noise(6_000_000)
    with sending(server, data), sending(client, bytes(1_000_000)):
        time.sleep(0.1)  # its buffers fill up meanwhile
        got = received(client, 3_000_000)
        assert got == data[:3_000_000]


def test_latency_delays_a_reset_as_it_delays_bytes(ends, proxy):
    client, server = ends
    proxy.add("latency", {"delay": 120 * MS})
    client.sendall(b"x")
    begun = monotonic_ns()
    break_off(client)
    assert was_reset(server)
    assert monotonic_ns() - begun >= 120 * MS
    assert proxy.stats().connections == 0


def test_a_toxin_that_cannot_act_with_those_in_force_is_refused_and_changes_nothing(ends, proxy):
    first = proxy.add("latency", {"delay": MS})
    with pytest.raises(ToxicError, match="latency in force on up and down"):
        proxy.add("latency", {"delay": 2 * MS})
    with pytest.raises(ToxicError):
        proxy.add("reset")
    with pytest.raises(ToxicError, match=r"latency\.delay"):
        proxy.add("latency", {"delay": "1s"})
    assert proxy.active() == [first]
    carries(*ends, 1_000)


def test_removing_twice_and_clearing_nothing_are_harmless(ends, proxy):
    toxic = proxy.add("latency", {"delay": MS})
    proxy.remove(toxic)
    proxy.remove(toxic)
    proxy.clear()
    assert proxy.active() == []
    carries(*ends, 1_000)


@COMPILED
def test_clear_takes_everything_away(ends, proxy):
    client, server = ends
    for kind, settings in (
        ("latency", {"delay": 3600 * 1000 * MS}),
        ("bandwidth", {"rate": 1}),
        ("black_hole", {}),
        ("refuse", {}),
    ):
        proxy.add(kind, settings)
    client.sendall(b"through")
    proxy.clear()
    assert received(server, 7) == b"through"
    carries(server, client, 1_000_000)
    assert proxy.stats().is_listening


def test_a_toxin_that_nothing_meets_has_no_proof(proxy):
    toxic = proxy.add("latency", {"delay": MS})
    proof = proxy.proof_of(toxic, wait_s=0.05)
    assert not proof.holds
    assert proof.text == "the proxy counts 0 reads delayed"


def test_the_port_of_a_shut_proxy_refuses_with_the_kernels_own_code(proxy):
    proxy.add("refuse")
    with socket.socket() as probe:
        assert probe.connect_ex(proxy.address) == errno.ECONNREFUSED
