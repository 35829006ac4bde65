"""Faults on the way to a target: the same promises as those on a process, kept by the fault proxy."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.health import probe
from chaos.faults import fault_for
from chaos.faults.fault import FaultContext
from chaos.proxy.client import FaultProxy
from chaos.proxy.toxic import ToxicError
from chaos.schedule import FaultPlan
from chaos.undo import Nothing
from tests.chaos.conftest import BACK_S, S
from tests.helpers.waiting import eventually

MS = 1_000_000
CASES = {
    "latency": (S, {"delay": 2 * MS, "delay_jitter": MS}),
    "bandwidth": (S, {"rate": 100_000}),
    "reset": (None, {}),
    "reset_that_stays": (S, {}),
    "black_hole": (S, {"direction": "down"}),
    "slow_close": (S, {"delay": 5 * MS}),
    "limit_data": (S, {"bytes": 20}),
    "refuse": (S, {}),
    "slicer": (S, {"bytes": 2, "delay": 1000}),
}


class Clients:
    """A connection that talks and another that is opened and closed, again and again."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._end = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._talk, self._come_and_go)]
        for thread in self._threads:
            thread.start()

    def _talk(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError), socket.create_connection(self._address, 0.2) as one:
                while not self._end.is_set():
                    one.sendall(b"PING\r\n")
                    if not one.recv(64):
                        break

    def _come_and_go(self) -> None:
        while not self._end.wait(0.002):
            with contextlib.suppress(OSError), socket.create_connection(self._address, 0.2) as one:
                one.sendall(b"PING\r\n")
                one.recv(64)

    def close(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture(scope="module")
def proxied(stack: EmbeddedStack) -> Iterator[FaultContext]:
    target = stack.targets()["redis"]
    with FaultProxy(target.host, target.port, name="redis") as proxy, contextlib.ExitStack() as cleanup:
        cleanup.callback(Clients(proxy.address).close)
        yield FaultContext(stack, stack.targets(), {"redis": proxy})


@pytest.mark.parametrize("name", CASES)
def test_a_fault_on_the_path_is_proven_and_gone_afterwards(proxied: FaultContext, name: str) -> None:
    for_ns, settings = CASES[name]
    kind = name.removesuffix("_that_stays")
    fault = fault_for(FaultPlan(0, kind, "redis", 0, for_ns, settings), proxied)
    fault.check()
    fault.aim()
    assert fault.undo() == Nothing()  # the proxy ends with the harness, and the fault with it
    proxy = proxied.proxies["redis"]
    broke = fault.inject()
    assert broke.effective_ns is not None
    assert broke.asked_ns <= broke.effective_ns <= broke.returned_ns
    assert len(proxy.active()) == (for_ns is not None)
    effect = fault.took_effect()
    assert effect.holds, effect.text
    if for_ns is not None:
        mended = fault.heal()
        assert mended is not None
        assert mended.effective_ns is not None
        fault.heal()  # again is harmless
    assert fault.healed(BACK_S).holds
    assert proxy.active() == []
    seen = replace(proxied.targets["redis"], host=proxy.address[0], port=proxy.address[1])
    eventually(lambda: probe(seen, 1.0).state == "up", "the target is up")


def test_settings_that_make_no_sense_are_refused_before_anything_starts(proxied: FaultContext) -> None:
    with pytest.raises(ToxicError, match="latency"):
        fault_for(FaultPlan(0, "latency", "redis", 0, S, {"delay": -1}), proxied).check()


def test_a_fault_that_meets_no_connection_has_no_proof(stack: EmbeddedStack) -> None:
    target = stack.targets()["redis"]
    with FaultProxy(target.host, target.port) as proxy:
        around = FaultContext(stack, stack.targets(), {"redis": proxy})
        fault = fault_for(FaultPlan(0, "reset", "redis", 0, None), around)
        fault.aim()
        fault.inject()
        assert not fault.took_effect().holds


def test_a_proxy_that_is_gone_is_a_sentence_with_the_targets_name(stack: EmbeddedStack) -> None:
    target = stack.targets()["redis"]
    with FaultProxy(target.host, target.port, name="redis") as proxy:
        around = FaultContext(stack, stack.targets(), {"redis": proxy})
        fault = fault_for(FaultPlan(0, "reset", "redis", 0, S), around)
        fault.aim()
        fault.inject()
        pid = proxy.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TargetError, match=r"target redis at .* expected a running fault proxy"):
            fault.heal()


def test_a_fault_that_could_not_be_made_leaves_nothing_to_mend(stack: EmbeddedStack) -> None:
    target = stack.targets()["redis"]
    proxy = FaultProxy(target.host, target.port, name="redis")
    fault = fault_for(FaultPlan(0, "reset", "redis", 0, S), FaultContext(stack, {}, {"redis": proxy}))
    fault.aim()
    with pytest.raises(TargetError, match="never started"):
        fault.inject()
    assert fault.heal() is None
