"""The harness's side of the fault proxy: start it, put toxics in and take them out, ask it, end it."""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from bench.core.child_process import HelperProcess, for_python
from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError
from bench.registry import path_name, proxy_name
from bench.stack.services.loopback_port import free_loopback_port
from chaos.proxy import messages
from chaos.proxy.loop import BUCKETS, ROW, ROWS, SIZE_BYTES
from chaos.proxy.messages import Applied, Effects, ProxyStats
from chaos.proxy.toxic import ToxicError
from chaos.proxy.toxics import KINDS, toxic_of
from chaos.proxy.traffic import LOADING, RUNNING
from chaos.schedule import Proof

if TYPE_CHECKING:
    from bench.core.histogram import Counts

LOOPBACK = "127.0.0.1"
PROGRAM = Path(__file__).with_name("serve.py")
ANSWER_S = 10.0
"""How long it may take to answer; thousands of resets take a tenth of a second."""
END_S = 3.0
LOADED_S = 120.0
"""Compiling on a cold cache and a busy machine."""
LOAD_STEP_S = 0.01
PROOF_S = 3.0
PROOF_STEP_S = 0.005
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
Some = TypeVar("Some", bound=messages.Answer)


class FaultProxy:
    """A proxy before one upstream, in a separate process; calls may come from any thread.

    Settings of toxics have the names that scenarios use; times in ns, sizes in bytes, rates in
    bytes/s. The same seed gives the same jitter.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        *,
        name: str = "upstream",
        client: str | None = None,
        host: str = LOOPBACK,
        port: int | None = None,
        seed: int = 0,
        dial_deadline_s: float = 5.0,
        relay: bool = True,
    ) -> None:
        """host: where it listens. relay: load the compiled loop, which passes bytes on while no toxic is in
        force.
        """
        self.name = name
        """Of the target behind it."""
        self.client = client
        """The service that reaches the target through it; None: the load."""
        self.seed = seed
        """Of the toxics that are added from now on."""
        self._upstream = upstream_host, upstream_port
        self._host, self._port = host, port
        self._has_relay = relay
        self._dial_deadline_ns = round(dial_deadline_s * NS_PER_S)
        self._helper: HelperProcess | None = None
        self._in_force: dict[int, Applied] = {}
        self._lock = threading.Lock()
        self._partial = b""
        self._asked = -1

    def start(self) -> tuple[str, int]:
        """Start it; the address to use in place of the upstream's. Raises TargetError."""
        # Below the ports that the kernel gives to clients: it is shut now and then, and stays ours.
        port = free_loopback_port() if self._port is None else self._port
        self._gauges_fd = os.memfd_create("holdfast-proxy", os.MFD_CLOEXEC)
        os.ftruncate(self._gauges_fd, SIZE_BYTES)
        self._gauges = mmap.mmap(self._gauges_fd, SIZE_BYTES)
        specification = messages.Specification(
            harness_pid=os.getpid(),
            upstream_host=self._numeric_upstream(),
            upstream_port=self._upstream[1],
            listen_host=self._host,
            listen_port=port,
            dial_deadline_ns=self._dial_deadline_ns,
            gauges=self._gauges_fd,
            packages=tuple(place for place in sys.path if place) if self._has_relay else None,
        )
        self._partial, self._asked = b"", -1
        # As the supervisor's: nothing of the user's environment can break it.
        program = ["-I", "-S", str(PROGRAM.resolve())]
        self._helper = HelperProcess(
            program, for_python(), pass_fds=[self._gauges_fd], stderr=subprocess.PIPE
        )
        try:
            answer = self._answered(specification)
            if isinstance(answer, messages.Failed):
                self._refuse("a fault proxy that listens", answer.why, "choose another port")
            assert isinstance(answer, messages.Listening)
        except BaseException:
            self.close()
            raise
        self._port = answer.port
        return answer.host, answer.port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it has been started."""
        assert self._port is not None
        return self._host, self._port

    @property
    def place(self) -> str:
        """In words."""
        return proxy_name(self.client, self.name)

    @property
    def pid(self) -> int | None:
        """Its process."""
        return None if self._helper is None else self._helper.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._helper is not None and self._helper.process.poll() is None

    def ending(self) -> str | None:
        """How its process ended; None while it runs."""
        status = None if self._helper is None else self._helper.process.poll()
        if status is None:
            return None
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"

    def lead_back(self) -> None:
        """Connect those that come from now on to its own upstream."""
        self.lead_to(self._numeric_upstream(), self._upstream[1])

    def add(self, kind: str, settings: Mapping[str, Any] = NO_SETTINGS) -> Applied:
        """Bring a toxic into force; returns when it acts on every connection.

        Raises ToxicError when its settings make no sense or it cannot act together with another.
        """
        toxic_of(kind, settings)
        asked_ns = monotonic_ns()
        change = self._ask(messages.Add(kind, dict(settings), self.seed), messages.Changed)
        applied = Applied(
            number=change.toxic,
            kind=kind,
            settings=dict(settings),
            asked_ns=asked_ns,
            effective_ns=change.effective_ns,
            applied_ns=change.applied_ns,
            returned_ns=monotonic_ns(),
            connections=change.connections,
        )
        self._in_force[applied.number] = applied
        return applied

    def remove(self, toxic: Applied) -> int:
        """Take a toxic away; when that took effect, ns. Again is harmless."""
        change = self._ask(messages.Remove(toxic.number), messages.Changed)
        self._in_force.pop(toxic.number, None)
        return change.effective_ns

    def clear(self) -> int:
        """Take all toxics away; when that took effect, ns."""
        change = self._ask(messages.Clear(), messages.Changed)
        self._in_force.clear()
        return change.effective_ns

    def active(self) -> list[Applied]:
        """The toxics that the proxy says are in force."""
        return [self._in_force[number] for number in self.stats().in_force]

    def await_relay(self, wait_s: float = LOADED_S) -> bool:
        """Wait until the compiled loop has been loaded; whether it passes bytes on now."""
        deadline_ns = monotonic_ns() + round(wait_s * NS_PER_S)
        while (state := self.stats().relay) == LOADING and monotonic_ns() < deadline_ns:
            time.sleep(LOAD_STEP_S)
        return state == RUNNING

    def lead_to(self, host: str, port: int) -> tuple[str, int]:
        """Connect those that come from now on to another upstream; its own address, for them."""
        self._ask(messages.LeadTo(host, port), messages.Done)
        return self.address

    def lateness(self) -> Counts:
        """Histogram of how late it has passed on what was there or due, of both its loops; not asked for."""
        import numpy as np

        words = np.frombuffer(self._gauges, dtype=np.int64)[ROWS * ROW :]
        counts: Counts = words.reshape(ROWS, BUCKETS).sum(axis=0)
        return counts

    def row(self, number: int) -> Counts:
        """A copy of what one of its loops counts: see chaos.proxy.loop."""
        import numpy as np

        return np.frombuffer(self._gauges, dtype=np.int64)[number * ROW : (number + 1) * ROW].copy()

    def stats(self) -> ProxyStats:
        """What it has done and what it holds."""
        return self._ask(messages.AskStats(), ProxyStats)

    def effects(self, toxic: Applied) -> Effects:
        """What a toxic, in force or gone, has done so far."""
        return self._ask(messages.AskEffects(toxic.number), Effects)

    def proof_of(self, toxic: Applied, before: ProxyStats | None = None, wait_s: float = PROOF_S) -> Proof:
        """Whether a toxic did something, by the proxy's own counts; waits for it up to `wait_s`.

        before: the statistics from before it, for the text.
        """
        deadline_ns = monotonic_ns() + round(wait_s * NS_PER_S)
        while True:
            effect = self.effects(toxic)
            if effect.count or monotonic_ns() >= deadline_ns:
                break
            time.sleep(PROOF_STEP_S)
        stats = self.stats()
        text = f"the proxy counts {effect.count} {KINDS[toxic.kind].unit}"
        if effect.bytes:
            text += f" with {effect.bytes} bytes"
        unread = stats.unread_up_bytes + stats.unread_down_bytes
        if toxic.kind == "black_hole" and unread:
            text += f", {unread} bytes wait"
        if before is not None:
            passed = stats.up_bytes + stats.down_bytes - before.up_bytes - before.down_bytes
            text += f"; {passed} bytes went through since"
        return Proof(effect.count > 0, text)

    def close(self) -> None:
        """End it and return when it is gone; its connections break. Idempotent."""
        helper, self._helper = self._helper, None
        if helper is None:
            return
        helper.end(END_S)
        os.close(self._gauges_fd)
        self._in_force.clear()

    def _numeric_upstream(self) -> str:
        host, port = self._upstream
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._refuse("a host that can be resolved", str(error), "check its name")
        # As a client that prefers IPv4, which is what services on a machine listen to.
        found.sort(key=lambda one: one[0] != socket.AF_INET)
        return str(found[0][4][0])

    def _ask(self, command: messages.Command, kind: type[Some]) -> Some:
        """The answer to a command, which is of that kind. Raises ToxicError where it is refused."""
        answer = self._answered(command)
        if isinstance(answer, messages.Refused):
            raise ToxicError(answer.where, answer.expected, answer.found, answer.advice)
        assert isinstance(answer, kind)
        return answer

    def _answered(self, message: messages.Specification | messages.Command) -> messages.Answer:
        with self._lock:
            if self._helper is None:
                self._refuse("a running fault proxy", "one that has been closed or never started", "start it")
            process = self._helper.process
            assert process.stdin is not None
            try:
                self._asked += 1
                process.stdin.write(messages.to_line(self._asked, message))
                process.stdin.flush()
                return self._answer(process)
            except BrokenPipeError:
                self._fail(process)

    def _answer(self, process: subprocess.Popen[bytes]) -> messages.Answer:
        """To what was asked last; what was given up earlier may be answered late."""
        while True:
            number, answer = messages.read_answer(self._line(process))
            if number == self._asked:
                return answer

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        fd = process.stdout.fileno()
        deadline_ns = monotonic_ns() + round(ANSWER_S * NS_PER_S)
        poll = select.poll()  # not select, which knows no descriptor above 1023
        poll.register(fd, select.POLLIN)
        while b"\n" not in self._partial:
            left_ms = (deadline_ns - monotonic_ns()) // 1_000_000
            if left_ms <= 0:
                found = f"none within {ANSWER_S:.0f} s"
                self._refuse("an answer of the fault proxy", found, "see whether something has stopped it")
            if poll.poll(left_ms):
                data = os.read(fd, 65_536)
                if not data:
                    self._fail(process)
                self._partial += data
        line, _, self._partial = self._partial.partition(b"\n")
        return line

    def _fail(self, process: subprocess.Popen[bytes]) -> NoReturn:
        assert process.stderr is not None
        status = process.wait()
        last = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        self._refuse(
            "a running fault proxy",
            f"it ended with status {status}: {last or 'it said nothing'}",
            "run again",
        )

    def _refuse(self, expected: str, found: str, advice: str) -> NoReturn:
        host, port = self._upstream
        raise TargetError(path_name(self.client, self.name), f"{host}:{port}", expected, found, advice)
