"""Locust's channel between a master and its workers: closed to anyone without the secret, and the way of
the agents' messages.

Locust opens its sockets without any authentication. Here each gets ZeroMQ's CURVE
(rfc.zeromq.org/spec/26): both sides prove that they know the secret before a message passes, neither can
be impersonated, every message is encrypted and numbered, and an eavesdropper learns nothing. The key
pairs are derived from the secret, and the master's public key never travels: without the secret not even
a first message can be made.

What the agents say to each other is passed on as text, unread. Every message carries the number of its
run, so that a late one cannot disturb the next run.
"""

import hashlib
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gevent
import zmq.green as zmq
from locust.rpc import zmqrpc
from locust.runners import STATE_MISSING
from zmq.utils.monitor import recv_monitor_message

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import ExitCode, UsageError
from bench.core.messages import MessageError, Messages
from bench.swarm import Environment, MasterRunner, Message, WorkerRunner
from bench.swarm.messages import (
    Failed,
    FromAgent,
    HostRequest,
    RelayedMessage,
    RelayRequest,
    ToAgent,
    WorkerJoined,
    WorkerLost,
)
from bench.swarm.web.auth import refuse
from bench.swarm.web.run_control import AgentProcess, WorkerPool, WorkerState

logger = logging.getLogger(__name__)
LARGEST_MESSAGE = 64 * 1024 * 1024
REPORT_EVERY_S = 60.0
MASTER, WORKER = b"holdfast master", b"holdfast worker"
COST = {"n": 1 << 14, "r": 8, "p": 1}
"""Of one guess at the secret: some 50 ms and 16 MiB."""

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
CHANNEL = "holdfast"
COORDINATOR = "coordinator"
LOOK_EVERY_S = 0.25
SILENT_LOOKS = 28
"""Locust misses a worker after 3 s without a heartbeat; so many looks of ours later it is lost. They are
counted and not timed: a master that others keep from its processor looks as seldom as it reads.
"""
MASTER_SILENT_S = 10
"""A master says something every second; one that is silent for so long has gone, and its run with it."""


def close_to_strangers(secret: Callable[[], bytes]) -> None:
    """Let every socket that Locust opens from now on demand the secret. Ends the process where it cannot."""
    sockets: Any = zmqrpc.BaseSocket
    plain = sockets.__init__

    def secured(self: Any, kind: int, *more: Any) -> None:
        plain(self, kind, *more)
        try:
            _secure(self.socket, secret(), is_master=kind == zmq.ROUTER)
        except UsageError as error:
            refuse(f"bench: {error}", ExitCode.USAGE)

    sockets.__init__ = secured


def _secure(socket: Any, secret: bytes, *, is_master: bool) -> None:
    if not zmq.has("curve"):
        raise UsageError(
            "workers: expected a pyzmq that can encrypt, found one built without CURVE; "
            "pip install --force-reinstall --only-binary :all: pyzmq"
        )
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    if is_master:
        _, socket.curve_secretkey = _key_pair(secret, MASTER)
        socket.curve_server = True
        socket.setsockopt(zmq.ROUTER_HANDOVER, 0)
    else:
        socket.curve_serverkey, _ = _key_pair(secret, MASTER)
        socket.curve_publickey, socket.curve_secretkey = _key_pair(secret, WORKER)
    events = FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED
    gevent.spawn(_report_failures, socket.get_monitor_socket(events), is_master=is_master)


def _key_pair(secret: bytes, whose: bytes) -> tuple[bytes, bytes]:
    """The public and the secret key, in ZeroMQ's own form of 40 characters."""
    from zmq.utils import z85

    key = z85.encode(hashlib.scrypt(secret, salt=whose, dklen=32, **COST))
    return zmq.curve_public(key), key


def _report_failures(monitor: Any, *, is_master: bool) -> None:
    """Log now and then that a stranger was turned away, or that we were."""
    reported_s, is_through = -REPORT_EVERY_S, False
    while True:
        try:
            event = recv_monitor_message(monitor)["event"]
        except (zmq.ZMQError, RuntimeError):
            return  # the socket was closed
        is_through = event == zmq.EVENT_HANDSHAKE_SUCCEEDED or (is_through and event != zmq.EVENT_CONNECTED)
        was_refused = event & FAILED or (not is_master and event == zmq.EVENT_DISCONNECTED and not is_through)
        if was_refused and time.monotonic() - reported_s > REPORT_EVERY_S:
            reported_s = time.monotonic()
            logger.warning(
                "a process without the workers' secret was turned away from the worker port"
                if is_master
                else "the master turned this worker away: give both the same secret (HOLDFAST_WORKER_SECRET)"
            )


@dataclass(frozen=True)
class WorkerOrder:
    """Master to worker: start an engine host, hand it a message, end it."""

    run: str
    do: Literal["host", "relay", "end"]
    text: str | None = None


@dataclass(frozen=True)
class WorkerReport:
    """Worker to master: a message of its engine host, or its end."""

    run: str
    say: Literal["relay", "host_ended"]
    text: str | None = None
    exit_code: int | None = None


ORDERS: Messages[WorkerOrder] = Messages(WorkerOrder)
REPORTS: Messages[WorkerReport] = Messages(WorkerReport)


class Workers(WorkerPool):
    """The master's side: the workers that are ready at the start are the workers of the run."""

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        self._runner = runner
        self._run = ""
        self._names: dict[str, str] = {}
        self._missed: Counter[str] = Counter()
        """Looks in a row at which Locust missed a worker."""
        self._to_agent: Callable[[ToAgent], None] = lambda _: None
        runner.register_message(CHANNEL, self._heard)
        environment.events.worker_connect.add_listener(self._connected)

    def ready(self) -> list[str]:
        """Workers that can take part in a run."""
        return [client.id for client in self._runner.clients.ready]

    @property
    def are_all_lost(self) -> bool:
        """Whether a run is under way that no worker works on any more."""
        self._look()
        return bool(self._names) and all(state in ("lost", "late") for state in self._names.values())

    def begin(self, names: Sequence[str], to_agent: Callable[[ToAgent], None]) -> None:
        """See WorkerPool."""
        self._run = uuid.uuid4().hex
        self._names = dict.fromkeys(names, "working")
        self._missed.clear()
        self._to_agent = to_agent
        for name in names:
            self._send(name, "host")
        gevent.spawn(self._watch, self._run)

    def relay(self, message: RelayRequest) -> None:
        """See WorkerPool."""
        if message.to is not None and self._names.get(message.to) == "working":
            self._send(message.to, "relay", json.dumps(message.message))

    def settle(self) -> None:
        """See WorkerPool."""
        self._names = {name: "done" if state == "working" else state for name, state in self._names.items()}

    def end(self) -> None:
        """See WorkerPool."""
        for name in self._names:
            if name in self._runner.clients:
                self._send(name, "end")
        self._run = ""

    def state(self) -> list[WorkerState]:
        """See WorkerPool."""
        if self._run:
            return [WorkerState(name, state) for name, state in self._names.items()]
        return [WorkerState(client.id, client.state) for client in self._runner.clients.all]

    def _send(self, name: str, do: Literal["host", "relay", "end"], text: str | None = None) -> None:
        self._runner.send_message(CHANNEL, asdict(WorkerOrder(self._run, do, text)), client_id=name)

    def _heard(self, environment: Environment, msg: Message, **_: Any) -> None:  # noqa: ARG002 - Locust's form
        name = msg.node_id
        if not self._run or name not in self._names:
            return
        try:
            report = REPORTS.of(msg.data)
            if report.run != self._run:
                return
            message = json.loads(report.text or "") if report.say == "relay" else None
        except (MessageError, TypeError, ValueError, RecursionError):
            self._lost(name, "refused, because it sent what is no message")
            return
        if report.say == "relay":
            self._to_agent(RelayedMessage(name, message))
        else:
            self._lost(name, f"its engine host ended with exit code {report.exit_code!r:.20}")

    def _connected(self, client_id: str, **_: Any) -> None:
        if self._run and client_id not in self._names:
            self._names[client_id] = "late"
            self._to_agent(WorkerJoined(client_id))

    def _watch(self, run: str) -> None:
        while self._run == run:
            self._look()
            gevent.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        """Compare with what Locust knows from heartbeats and farewells."""
        for name in list(self._names):
            client = self._runner.clients.get(name)
            if client is None:
                self._lost(name, "it quit")
            elif client.state == STATE_MISSING:
                self._missed[name] += 1
                if self._missed[name] >= SILENT_LOOKS:
                    self._lost(name, "it sent no heartbeat for 10 s")
            else:
                self._missed[name] = 0

    def _lost(self, name: str, reason: str) -> None:
        if self._run and self._names[name] == "working":
            self._names[name] = "lost"
            logger.warning("worker %s is lost: %s", name, reason)
            self._to_agent(WorkerLost(name, reason))


class HostStarter:
    """The worker's side: one engine host at a time, at the master's word."""

    def __init__(
        self, environment: Environment, runner: WorkerRunner, variables: Mapping[str, str] | None = None
    ) -> None:
        """`variables` go into the environment of the engine host."""
        self._runner, self._variables = runner, variables
        self._run = ""
        self._agent: AgentProcess | None = None
        self._master_heard_ns = monotonic_ns()
        runner.register_message(CHANNEL, self._heard)
        environment.events.heartbeat_received.add_listener(self._beat)
        gevent.spawn(self._watch)

    def let_go(self) -> None:
        """The host ends."""
        if self._agent is not None:
            self._agent.let_go()

    def wait(self, seconds: float) -> bool:
        """Wait for the host's end; whether there is none."""
        return self._agent is None or self._agent.wait(seconds)

    def _heard(self, environment: Environment, msg: Message, **_: Any) -> None:  # noqa: ARG002 - Locust's form
        try:
            order = ORDERS.of(msg.data)
            message = json.loads(order.text or "") if order.do == "relay" else None
        except (MessageError, TypeError, ValueError, RecursionError):
            logger.warning("the master sent an invalid message; it is ignored")
            return
        if order.do == "host":
            self.let_go()
            self._start(order.run)
        elif order.run == self._run and self._agent is not None:
            if order.do == "relay":
                self._agent.send(RelayedMessage(COORDINATOR, message))
            else:
                self._agent.let_go()

    def _start(self, run: str) -> None:
        self._run = run

        def take(message: FromAgent) -> None:
            match message:
                case RelayRequest():
                    self._report(WorkerReport(run, "relay", text=json.dumps(message.message)))
                case Failed():
                    logger.error("%s", message.message)

        def ended(code: int) -> None:
            self._report(WorkerReport(run, "host_ended", exit_code=code))
            if self._run == run:
                self._agent = None

        self._agent = AgentProcess(take, ended, self._variables)
        self._agent.send(HostRequest())

    def _report(self, report: WorkerReport) -> None:
        self._runner.send_message(CHANNEL, asdict(report))

    def _beat(self, **_: Any) -> None:
        self._master_heard_ns = monotonic_ns()

    def _watch(self) -> None:
        """A master that was killed says nothing more; Locust itself would wait for a minute."""
        while True:
            gevent.sleep(1.0)
            silent_ns = monotonic_ns() - self._master_heard_ns
            if self._agent is not None and silent_ns > MASTER_SILENT_S * NS_PER_S:
                logger.error("the master has been silent for %d s; the engine host ends", MASTER_SILENT_S)
                self._agent.let_go()
