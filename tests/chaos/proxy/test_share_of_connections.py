"""A toxic on a share of the connections: each is drawn once, by the seed, and the others notice nothing."""

import contextlib

import pytest

from chaos.proxy.toxic import ToxicError
from chaos.proxy.toxics import toxic_of
from tests.chaos.proxy.ends import DEADLINE_S, is_silent, opened, received, was_reset
from tests.helpers.waiting import eventually

COUNT = 24
HALF = {"toxicity": 0.5}


def drawn(kind, settings, number, count=COUNT):
    """Which of the first connections a toxic hits; the seed is that of the fixture."""
    toxic = toxic_of(kind, settings, number, seed=7)
    return [toxic.hits(connection + 1) for connection in range(count)]


def test_a_share_is_drawn_anew_for_each_connection_and_by_the_seed():
    for share in (0.01, 0.3, 0.9):
        hit = sum(drawn("reset", {"toxicity": share}, 1, 10_000))
        assert hit == pytest.approx(share * 10_000, abs=5 * (share * (1 - share) * 10_000) ** 0.5)
    assert drawn("reset", HALF, 1) == drawn("latency", {"delay": 1, **HALF}, 1)
    assert drawn("reset", HALF, 1) != drawn("reset", HALF, 2)
    assert all(drawn("reset", {"toxicity": 1}, 1))


@pytest.mark.parametrize("share", [0, -1, 1.1, True, "30%"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ToxicError, match="toxicity"):
        toxic_of("reset", {"toxicity": share})


def test_the_kernel_refuses_all_or_none():
    with pytest.raises(ToxicError, match="refuse"):
        toxic_of("refuse", HALF)


@pytest.mark.parametrize("has_relay", [False, True])
def test_a_black_hole_for_some_holds_those_and_lets_them_go(connected, proxy):
    pairs = [connected() for _ in range(COUNT // 2)]
    toxic = proxy.add("black_hole", HALF)
    pairs += [connected() for _ in range(COUNT // 2)]  # new ones are drawn too, so upstream is dialled
    expected = drawn("black_hole", HALF, toxic.number)
    assert set(expected) == {True, False}
    for client, server in pairs:
        client.sendall(b"ask")
        server.sendall(b"say")
    for (client, server), is_hit in zip(pairs, expected, strict=True):
        if not is_hit:
            assert received(server, 3) == b"ask"
            assert received(client, 3) == b"say"
    for (client, server), is_hit in zip(pairs, expected, strict=True):
        if is_hit:
            assert is_silent(server, 0.01)
            assert is_silent(client, 0.01)
    assert proxy.effects(toxic).count == 2 * sum(expected)
    proxy.remove(toxic)
    for client, server in pairs:
        client.settimeout(DEADLINE_S)
        server.settimeout(DEADLINE_S)
    for (client, server), is_hit in zip(pairs, expected, strict=True):
        if is_hit:
            assert received(server, 3) == b"ask"
            assert received(client, 3) == b"say"


def test_latency_for_some_leaves_the_bytes_of_the_others_alone(connected, proxy):
    settings = {"delay": 10_000_000, "delay_jitter": 1_000_000, **HALF}
    pairs = [connected() for _ in range(COUNT)]
    toxic = proxy.add("latency", settings)
    for client, server in pairs:
        client.sendall(b"ask")
        assert received(server, 3) == b"ask"
    assert proxy.effects(toxic).count == sum(drawn("latency", settings, toxic.number))


def test_some_are_reset_and_some_of_those_that_come(connected, proxy):
    pairs = [connected() for _ in range(COUNT)]
    toxic = proxy.add("reset", HALF)
    expected = drawn("reset", HALF, toxic.number)
    for (client, server), is_hit in zip(pairs, expected, strict=True):
        if is_hit:
            assert was_reset(client)
            assert was_reset(server)
        else:
            client.sendall(b"ask")
            assert received(server, 3) == b"ask"
    before = proxy.effects(toxic).count
    assert before == sum(expected)
    slow = proxy.add("latency", {"delay": 1_000_000})  # there are connections left on which it can act
    proxy.remove(slow)
    eventually(
        lambda: comes_and_goes(proxy) and proxy.effects(toxic).count > before, "one that comes is reset"
    )


def comes_and_goes(proxy):
    with contextlib.suppress(ConnectionResetError), opened(proxy.address):
        pass
    return True
