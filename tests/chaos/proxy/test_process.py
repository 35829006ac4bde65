"""The proxy's process: it lives exactly as long as its harness wants it to."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

import chaos
from bench.core.errors import TargetError
from chaos.proxy.client import PROGRAM, FaultProxy
from tests.chaos.proxy.ends import is_running, opened, was_reset
from tests.helpers.processes import child_process
from tests.helpers.waiting import eventually

ROOT = Path(chaos.__file__).parents[1]
HARNESS = """
import json, os, sys, time
from chaos.proxy.client import FaultProxy
proxy = FaultProxy("127.0.0.1", int(sys.argv[1]))
proxy.start()
proxy.add("black_hole")
held = os.fork() if sys.argv[2:] == ["fork"] else None
if held == 0:
    time.sleep(60)  # it holds the proxy's stdin open
    os._exit(0)
print(json.dumps([proxy.pid, proxy.address, held]), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("mode", ["alone", "fork"])
def test_a_killed_harness_leaves_no_proxy(listener, mode):
    port = str(listener.getsockname()[1])
    command = [sys.executable, "-c", HARNESS, port, mode]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with child_process(command, stdout=subprocess.PIPE, env=environment) as harness:
        assert harness.stdout is not None
        pid, address, fork = json.loads(harness.stdout.readline())
        try:
            with opened(tuple(address)) as client:
                assert is_running(pid)
                harness.kill()
                eventually(lambda: not is_running(pid), "the proxy ends")
                was_reset(client)  # or closed: either way it is over
                # Nobody of its family listens: another test may have been given the port meanwhile.
                listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
                heirs = {one.pid for one in listening if one.laddr == tuple(address)}
                assert not heirs & {pid, fork, harness.pid}
        finally:
            harness.kill()
            if fork:
                os.kill(fork, signal.SIGKILL)


def test_closing_ends_it_whatever_it_holds(listener):
    proxy = FaultProxy("127.0.0.1", listener.getsockname()[1])
    address = proxy.start()
    pid = proxy.pid
    with opened(address) as client:
        proxy.add("latency", {"delay": 10**12})
        client.sendall(b"never")
        proxy.close()
        assert not is_running(pid)
        proxy.close()
        assert not proxy.is_alive
    with pytest.raises(TargetError, match="closed or never started"):
        proxy.stats()


def test_a_stopped_proxy_is_ended_too(proxy, monkeypatch):
    monkeypatch.setattr("chaos.proxy.client.END_S", 0.2)
    pid = proxy.pid
    os.kill(pid, signal.SIGSTOP)
    proxy.close()
    assert not is_running(pid)


def test_a_dead_proxy_is_reported_with_its_target(listener):
    with FaultProxy("127.0.0.1", listener.getsockname()[1], name="redis") as proxy:
        os.kill(proxy.pid, signal.SIGKILL)
        with pytest.raises(TargetError, match=r"target redis at .*ended with status -9"):
            proxy.add("latency", {"delay": 1})
        assert not proxy.is_alive


def test_a_late_answer_is_not_taken_for_the_next_one(proxy, monkeypatch):
    monkeypatch.setattr("chaos.proxy.client.ANSWER_S", 0.1)
    os.kill(proxy.pid, signal.SIGSTOP)
    with pytest.raises(TargetError, match="none within"):
        proxy.clear()
    os.kill(proxy.pid, signal.SIGCONT)
    monkeypatch.setattr("chaos.proxy.client.ANSWER_S", 10.0)
    assert proxy.stats().is_listening


def test_it_outlives_the_thread_that_started_it(listener):
    proxy = FaultProxy("127.0.0.1", listener.getsockname()[1])
    thread = threading.Thread(target=proxy.start)
    thread.start()
    thread.join()
    try:
        assert proxy.stats().is_listening
    finally:
        proxy.close()


def test_calls_may_come_from_many_threads(proxy):
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(20):
                proxy.stats()
                proxy.remove(proxy.add("reset", {"new_connections": False}))
        except BaseException as error:  # noqa: BLE001 - asserted on below
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [failure for failure in failures if "at most one of a kind" in str(failure)]
    assert failures == refused
    assert proxy.is_alive


def test_the_program_needs_nothing_but_the_standard_library(tmp_path):
    """Started as the harness does, it reads its first line, which never comes, and ends."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", str(PROGRAM)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"chaos", "select", "ctypes"} <= loaded
    assert loaded.isdisjoint({"numpy", "asyncio", "uvloop", "pydantic", "random", "typing_extensions"})
