"""Whatever clients, upstream and toxics do at once, the proxy lives and holds nothing afterwards."""

import contextlib
import random
import socket
import threading

import pytest

from chaos.proxy.client import FaultProxy
from chaos.proxy.toxic import ToxicError
from chaos.proxy.toxics import KINDS
from tests.chaos.proxy.ends import MS, break_off, carries, opened
from tests.helpers.waiting import eventually

CHANGES = 150
CLIENTS = 8


def settings_of(kind: str, draw: random.Random) -> dict[str, object]:
    direction = {"direction": draw.choice(["up", "down", "both"])}
    match kind:
        case "latency":
            return {"delay": draw.randrange(30 * MS), "delay_jitter": draw.randrange(10 * MS), **direction}
        case "bandwidth":
            return {"rate": draw.choice([1_000, 10**5, 10**7]), **direction}
        case "slicer":
            return {"bytes": draw.choice([1, 100, 5_000]), "delay": draw.randrange(MS), **direction}
        case "slow_close":
            return {"delay": draw.randrange(50 * MS), **direction}
        case "limit_data":
            return {"bytes": draw.randrange(1, 10**6), **direction}
        case "black_hole":
            return {"reset_on_heal": draw.random() < 0.3, **direction}
        case "reset":
            return {"new_connections": draw.random() < 0.3}
        case _:
            return {"reset_live": draw.random() < 0.3}


def behave(stream: socket.socket, draw: random.Random) -> None:
    """Send, read, half-close, break off, in any order."""
    stream.settimeout(0.5)
    with contextlib.suppress(OSError), stream:
        for _ in range(draw.randrange(1, 12)):
            act = draw.random()
            if act < 0.4:
                stream.sendall(bytes(draw.randrange(1, 300_000)))
            elif act < 0.8:
                stream.recv(draw.randrange(1, 100_000))
            elif act < 0.9:
                stream.shutdown(socket.SHUT_WR)
            else:
                break
        if draw.random() < 0.3:
            break_off(stream)


@pytest.mark.parametrize(
    ("seed", "has_relay"),
    [(1, True), *(pytest.param(2, has_relay, marks=pytest.mark.long) for has_relay in (True, False))],
)
def test_the_proxy_survives_everything_at_once(seed: int, has_relay: bool, listener: socket.socket) -> None:
    over = threading.Event()
    listener.settimeout(0.05)

    def serve(draw: random.Random) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                behave(listener.accept()[0], draw)

    def call(draw: random.Random, address: tuple[str, int]) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                behave(opened(address), draw)

    address = "127.0.0.1", listener.getsockname()[1]
    with FaultProxy(*address, seed=seed, dial_deadline_s=0.3, relay=has_relay) as proxy:
        assert proxy.await_relay() is has_relay
        threads = [
            threading.Thread(target=serve, args=(random.Random(seed * 100 + n),)) for n in range(CLIENTS)
        ]
        threads += [
            threading.Thread(target=call, args=(random.Random(seed * 1000 + n), proxy.address))
            for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        try:
            draw = random.Random(seed)
            for _ in range(CHANGES):
                kind = draw.choice(list(KINDS))
                with contextlib.suppress(ToxicError):
                    proxy.add(kind, settings_of(kind, draw))
                active = proxy.active()
                if draw.random() < 0.6:
                    proxy.remove(draw.choice(active))
                if draw.random() < 0.1:
                    proxy.clear()
                over.wait(draw.random() * 0.01)
            proxy.clear()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        # What upstream never accepted is nobody's to close but the test's.
        listener.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()
        eventually(lambda: not proxy.stats().connections and not proxy.stats().waiting, "all of it ends")
        stats = proxy.stats()
        assert (stats.held_up_bytes, stats.held_down_bytes) == (0, 0)
        listener.settimeout(10)
        with opened(proxy.address) as client, listener.accept()[0] as server:
            carries(client, server, 10_000)
