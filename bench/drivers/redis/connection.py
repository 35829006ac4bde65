"""Logging in to a Redis on a fresh connection, from the control plane."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.core.redaction import redacted
from bench.drivers.redis.commands import encode
from bench.drivers.redis.refusal import advice_for_refusal

if TYPE_CHECKING:
    import socket

    from bench.scenario.model import Workload
    from bench.stack.target import Target


async def log_in(connection: socket.socket, target: Target, workload: Workload) -> None:
    """AUTH, protocol version, database, name, PING: all in one write; every answer read and checked.

    Raises TargetError where the server refuses one, ConnectionError where it hangs up.
    """
    import hiredis

    commands: list[tuple[str, bytes]] = []
    if target.password is not None:
        user = [target.username] if target.username else []
        commands.append(("AUTH", encode("AUTH", *user, target.password)))
    if workload.resp == 3:
        commands.append(("HELLO 3", encode("HELLO", 3)))
    if target.db:
        commands.append((f"SELECT {target.db}", encode("SELECT", target.db)))
    commands.append(("CLIENT SETNAME", encode("CLIENT", "SETNAME", f"holdfast-{workload.name}")))
    commands.append(("PING", encode("PING")))
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, b"".join(content for _, content in commands))
    reader = hiredis.Reader()
    for name, _ in commands:
        try:
            reply = await _next_reply(loop, connection, reader)
        except hiredis.ProtocolError:
            raise TargetError(
                target.name,
                target.address,
                f"a Redis that answers {name}",
                "bytes that are no reply of Redis",
                "check the port: something else listens there",
            ) from None
        if name == "PING" and not isinstance(reply, hiredis.ReplyError) and reply != b"PONG":
            raise TargetError(
                target.name,
                target.address,
                "PONG",
                f"the answer {str(reply)[:80]!r}",
                "check the port: something else than a Redis listens there",
            )
        is_error = isinstance(reply, hiredis.ReplyError)
        if is_error and name == "PING" and str(reply).startswith("NOPERM"):
            continue  # a Redis that let us in, and whose user may do what the load asks, not PING
        if is_error and name != "CLIENT SETNAME":
            # While the run goes on the connector tries again: LOADING and the like pass.
            raise TargetError(
                target.name,
                target.address,
                f"{name} to be answered",
                f"the answer '{redacted(str(reply), [target.password])}'",
                advice_for_refusal(str(reply)),
            )


async def _next_reply(loop: asyncio.AbstractEventLoop, connection: socket.socket, reader: Any) -> object:
    while (reply := reader.gets()) is False:
        data = await loop.sock_recv(connection, 65536)
        if not data:
            raise ConnectionResetError("the server closed the connection while we logged in")
        reader.feed(data)
    return reply
