"""The port between Locust's master and its workers, closed to whoever does not know the secret.

Locust opens its sockets without any authentication. Here each gets ZeroMQ's CURVE (rfc.zeromq.org/spec/26):
both sides prove that they know the secret before a message passes, neither can be impersonated, every message
is encrypted and numbered, and somebody who listens learns nothing. The key pairs are derived from the secret,
and the master's public key never travels: without the secret not even a first message can be made.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any

import gevent
import zmq.green as zmq
from locust.rpc import zmqrpc
from zmq.utils.monitor import recv_monitor_message

from bench.core.errors import ExitCode, UsageError
from bench.swarm.web.admission import refuse

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)
LARGEST_MESSAGE = 64 * 1024 * 1024
TOLD_EVERY_S = 60.0
MASTER, WORKER = b"holdfast master", b"holdfast worker"
COST = {"n": 1 << 14, "r": 8, "p": 1}
"""Of one guess at the secret: some 50 ms and 16 MiB."""

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


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
    gevent.spawn(_tell_of_failures, socket.get_monitor_socket(events), is_master=is_master)


def _key_pair(secret: bytes, whose: bytes) -> tuple[bytes, bytes]:
    """The public and the secret key, in ZeroMQ's own form of 40 characters."""
    from zmq.utils import z85

    key = z85.encode(hashlib.scrypt(secret, salt=whose, dklen=32, **COST))
    return zmq.curve_public(key), key


def _tell_of_failures(monitor: Any, *, is_master: bool) -> None:
    """Say now and then that somebody was turned away, or that we were."""
    told_s, is_through = -TOLD_EVERY_S, False
    while True:
        try:
            event = recv_monitor_message(monitor)["event"]
        except (zmq.ZMQError, RuntimeError):
            return  # the socket was closed
        is_through = event == zmq.EVENT_HANDSHAKE_SUCCEEDED or (is_through and event != zmq.EVENT_CONNECTED)
        was_refused = event & FAILED or (not is_master and event == zmq.EVENT_DISCONNECTED and not is_through)
        if was_refused and time.monotonic() - told_s > TOLD_EVERY_S:
            told_s = time.monotonic()
            logger.warning(
                "somebody without the workers' secret was turned away from the worker port"
                if is_master
                else "the master turned this worker away: give both the same secret (HOLDFAST_WORKER_SECRET)"
            )
