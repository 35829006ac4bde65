"""Fixtures of the proxy's tests: an upstream that the test itself plays, and a proxy before it."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from chaos.proxy.client import FaultProxy
from tests.chaos.proxy.ends import DEADLINE_S, opened
from tests.helpers.waiting import eventually

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        server.settimeout(DEADLINE_S)
        yield server


@pytest.fixture
def has_relay() -> bool:
    """Whether the proxy's compiled loop is there; a test that says so waits for it, which takes a second."""
    return False


@pytest.fixture
def proxy(listener: socket.socket, has_relay: bool) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", listener.getsockname()[1], seed=7, relay=has_relay) as started:
        assert started.await_relay() is has_relay
        yield started


@pytest.fixture
def connected(proxy: FaultProxy, listener: socket.socket) -> Iterator[Callable[[], Ends]]:
    """Connect a client through the proxy: its socket and upstream's."""
    with contextlib.ExitStack() as cleanup:
        made: list[socket.socket] = []

        def connect() -> Ends:
            client = cleanup.enter_context(opened(proxy.address))
            server = cleanup.enter_context(listener.accept()[0])
            server.settimeout(DEADLINE_S)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel lets both ends in before the proxy knows that they are.
            count = len(made)
            eventually(lambda: proxy.stats().connected > count, "the proxy has connected them")
            made.append(client)
            return client, server

        yield connect


@pytest.fixture
def ends(connected: Callable[[], Ends]) -> Ends:
    return connected()
