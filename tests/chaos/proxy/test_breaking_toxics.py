"""Toxics that break connections or hold them: reset, black hole, refuse."""

import socket

import pytest

from tests.chaos.proxy.ends import (
    MS,
    break_off,
    carries,
    is_silent,
    is_turned_away,
    opened,
    received,
    was_reset,
)
from tests.helpers.waiting import eventually

COMPILED = pytest.mark.parametrize("has_relay", [True], ids=["compiled"])
"""Beside the compiled loop, from which the toxic takes the connections over."""


@COMPILED
def test_reset_breaks_every_live_connection_and_new_ones(connected, proxy):
    pairs = [connected() for _ in range(20)]
    toxic = proxy.add("reset")
    for client, server in pairs:
        assert was_reset(client)
        assert was_reset(server)
    assert proxy.stats().connections == 0
    assert is_turned_away(proxy.address)
    assert proxy.effects(toxic).count == 21
    proxy.remove(toxic)
    carries(*connected(), 1_000)


def test_a_reset_of_the_live_ones_alone_lets_new_ones_in(ends, connected, proxy):
    toxic = proxy.add("reset", {"new_connections": False})
    assert was_reset(ends[0])
    assert was_reset(ends[1])
    carries(*connected(), 1_000)
    assert proxy.proof_of(toxic).text.startswith("the proxy counts 1 connections reset")


@COMPILED
def test_hundreds_of_connections_are_reset_at_once(connected, proxy):
    pairs = [connected() for _ in range(300)]
    toxic = proxy.add("reset")
    assert toxic.connections == 0
    assert proxy.effects(toxic).count == 300
    assert all(was_reset(client) and was_reset(server) for client, server in pairs)


@pytest.mark.parametrize("direction", ["both", "up", "down"])
def test_a_black_hole_holds_everything_and_lets_it_go_afterwards(ends, connected, proxy, direction):
    client, server = ends
    carries(client, server, 1_000)
    toxic = proxy.add("black_hole", {"direction": direction})
    client.sendall(b"up")
    server.sendall(b"down")
    if direction in ("both", "up"):
        assert is_silent(server)
    else:
        assert received(server, 2) == b"up"
    if direction in ("both", "down"):
        assert is_silent(client)
    else:
        assert received(client, 4) == b"down"
    stats = proxy.stats()
    assert stats.unread_up_bytes == (0 if direction == "down" else 2)
    assert stats.unread_down_bytes == (0 if direction == "up" else 4)
    assert proxy.proof_of(toxic).holds
    proxy.remove(toxic)
    if direction != "down":
        assert received(server, 2) == b"up"
    if direction != "up":
        assert received(client, 4) == b"down"
    carries(client, server, 100_000)
    carries(server, client, 100_000)


@COMPILED
def test_a_black_hole_swallows_ends_and_resets_until_it_is_over(connected, proxy):
    closing, breaking = connected(), connected()
    toxic = proxy.add("black_hole")
    closing[0].shutdown(socket.SHUT_WR)
    breaking[0].sendall(b"last words")
    break_off(breaking[0])
    assert is_silent(closing[1])
    assert is_silent(breaking[1])
    proxy.remove(toxic)
    assert closing[1].recv(1) == b""
    assert was_reset(breaking[1])


def test_a_client_that_comes_during_a_black_hole_reaches_upstream_after_it(proxy, listener):
    toxic = proxy.add("black_hole", {"direction": "up"})
    with opened(proxy.address) as client:
        client.sendall(b"hello")
        assert is_silent(client)
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
        assert proxy.stats().waiting == 1
        assert proxy.proof_of(toxic).holds
        proxy.remove(toxic)
        listener.settimeout(10)
        with listener.accept()[0] as server:
            assert received(server, 5) == b"hello"
            server.sendall(b"welcome")
            assert received(client, 7) == b"welcome"


@COMPILED
def test_a_black_hole_may_reset_what_lived_through_it(ends, proxy):
    client, server = ends
    toxic = proxy.add("black_hole", {"reset_on_heal": True})
    client.sendall(b"lost")
    with opened(proxy.address) as late:
        eventually(lambda: proxy.stats().waiting == 1, "the late one has come")
        proxy.remove(toxic)
        assert was_reset(client)
        assert was_reset(server)
        assert was_reset(late)


def test_black_hole_during_latency_holds_what_was_under_way(ends, proxy):
    client, server = ends
    latency = proxy.add("latency", {"delay": 3600 * 1000 * MS})
    client.sendall(b"under way")
    eventually(lambda: proxy.stats().held_up_bytes == 9, "it is under way")
    hole = proxy.add("black_hole")
    proxy.remove(latency)
    assert is_silent(server)
    proxy.remove(hole)
    assert received(server, 9) == b"under way"


@pytest.mark.parametrize("reset_live", [False, True])
def test_refuse_closes_the_port_and_live_connections_stay_unless_told_otherwise(
    ends, connected, proxy, reset_live
):
    client, server = ends
    toxic = proxy.add("refuse", {"reset_live": reset_live})
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            opened(proxy.address)
    assert proxy.proof_of(toxic).holds
    if reset_live:
        assert was_reset(client)
    else:
        carries(client, server, 10_000)
    proxy.remove(toxic)
    carries(*connected(), 1_000)
