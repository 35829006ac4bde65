"""Registers in a target: a few keys of a Redis, a few rows of a Postgres, through separate clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bench.stack.addresses import Places
from chaos.integrity.check import NotYet, Unreadable

if TYPE_CHECKING:
    from bench.scenario.workloads import Workload
    from bench.stack.target import Target


CONNECT_S = 1.0
UNREADABLE_VALUE = -1
"""Stands for whatever is no whole number: no client has written it."""


class RedisRegisters:
    """Keys `holdfast:register:<token>:<number>`."""

    def __init__(self, target: Target, token: str, count: int) -> None:
        self._target = target
        self._names = [f"holdfast:register:{token}:{number}" for number in range(count)]

    def make(self) -> None:
        """Nothing: a key that is not there holds nothing."""

    async def connect(self) -> _RedisConnection:
        """Open and log in."""
        from bench.drivers.redis.commands import encode
        from bench.stack.probes.redis import login_commands

        async with asyncio.timeout(CONNECT_S):
            target = await asyncio.to_thread(self._target.located, CONNECT_S)
            if target.socket_file is not None:
                reader, writer = await asyncio.open_unix_connection(target.socket_file)
            else:
                tls = target.tls_context()
                reader, writer = await asyncio.open_connection(target.host, target.port, ssl=tls)
        connection = _RedisConnection(reader, writer, self._names)
        try:
            async with asyncio.timeout(CONNECT_S):
                for words in login_commands(target):
                    await connection.ask(encode(*words))
        except BaseException:
            connection.abort()
            raise
        return connection

    def remove(self) -> None:
        """Delete the keys."""
        from chaos.integrity.readers import RedisReader

        with RedisReader(self._target) as dialogue:
            dialogue.ask("DEL", *self._names)


class _RedisConnection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, names: list[str]) -> None:
        import hiredis

        self._reader, self._writer, self._names = reader, writer, names
        self._replies = hiredis.Reader()
        self._refusal = hiredis.ReplyError

    async def ask(self, request: bytes) -> Any:
        self._writer.write(request)
        while (reply := self._replies.gets()) is False:
            data = await self._reader.read(1 << 16)
            if not data:
                raise ConnectionResetError("closed by the server")
            self._replies.feed(data)
        if isinstance(reply, self._refusal):
            raise NotYet(str(reply))
        return reply

    async def read(self, register: int) -> int | None:
        from bench.drivers.redis.commands import encode

        reply = await self.ask(encode("GET", self._names[register]))
        if reply is None:
            return None
        return int(reply) if reply.isdigit() and len(reply) < 19 else UNREADABLE_VALUE

    async def write(self, register: int, value: int) -> None:
        from bench.drivers.redis.commands import encode

        await self.ask(encode("SET", self._names[register], value))

    def abort(self) -> None:
        self._writer.transport.abort()


class PostgresRegisters:
    """Rows of a table `holdfast_registers_<token>`, written in the workload's own session settings."""

    def __init__(self, target: Target, token: str, workload: Workload) -> None:
        self._target, self._workload, self._places = target, workload, Places(target)
        self._table = f"holdfast_registers_{token}"
        self._was_made = False

    def make(self) -> None:
        """Create the table, empty."""
        self._execute(f"CREATE TABLE {self._table} (register integer PRIMARY KEY, value bigint NOT NULL)")
        self._was_made = True

    async def connect(self) -> _PostgresConnection:
        """Open a connection."""
        from bench.drivers.postgres.dials import dialled
        from bench.drivers.postgres.pool import connect_options

        options = connect_options(self._target, self._workload, 2) | {"timeout": CONNECT_S}
        connection, _ = await dialled(self._target, self._places, **options)
        return _PostgresConnection(connection, self._table)

    def remove(self) -> None:
        """Drop the table."""
        if self._was_made:
            self._execute(f"DROP TABLE IF EXISTS {self._table}")

    def _execute(self, statement: str) -> None:
        from chaos.integrity.readers import connected

        with connected(self._target, is_writing=True) as connection:
            connection.execute(statement.encode())


class _PostgresConnection:
    def __init__(self, connection: Any, table: str) -> None:
        self._connection = connection
        self._select = f"SELECT value FROM {table} WHERE register = $1"  # noqa: S608 - a name of ours
        self._upsert = (
            f"INSERT INTO {table} VALUES ($1, $2)"  # noqa: S608 - as above
            " ON CONFLICT (register) DO UPDATE SET value = excluded.value"
        )

    async def read(self, register: int) -> int | None:
        value: int | None = await self._connection.fetchval(self._select, register)
        return value

    async def write(self, register: int, value: int) -> None:
        await self._connection.execute(self._upsert, register, value)

    def abort(self) -> None:
        self._connection.terminate()


RegisterConnection = _RedisConnection | _PostgresConnection
"""One client's: `read` (None: nothing was ever written), `write`, which returns when that is acknowledged,
and `abort`. Any exception leaves the outcome of a call unknown.
"""
RegisterStore = RedisRegisters | PostgresRegisters
"""Where the registers are, by names of one run alone: `make` before it, `connect`, `remove` after it. `make`
and `remove` raise NotYet or Unreadable.
"""


def registers_in(target: Target, workload: Workload, token: str, count: int) -> RegisterStore:
    """The store for a workload's target. Raises Unreadable for a kind that has none, TargetError."""
    if target.nodes:
        advice = "check acknowledged_writes instead"
        raise target.error("a Redis that is one server, for registers", "a cluster", advice)
    if target.kind == "redis":
        return RedisRegisters(target, token, count)
    if target.kind == "postgres":
        return PostgresRegisters(target, token, workload)
    raise Unreadable(f"{target.name} is neither a Redis nor a Postgres")
