"""A plain connection to Redis that asks many things at once, each batch within a deadline."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.drivers.redis.commands import encode
from chaos.integrity.read_back import ANSWER_S, NotYet, Unreadable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from bench.stack.target import Target

PASSING = ("LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN")
"""Errors by which a server says that it will serve later."""


class RedisReader:
    """One connection, logged in. Raises NotYet where another try may help, Unreadable where not."""

    def __init__(self, target: Target) -> None:
        import hiredis

        self._reader = hiredis.Reader()
        self._refusal = hiredis.ReplyError
        try:
            self._socket = socket.create_connection((target.host, target.port), timeout=ANSWER_S)
        except OSError as error:
            raise NotYet(f"no connection to {target.name} ({error})") from None
        login: list[Sequence[bytes | str | int]] = []
        if target.password:
            login.append(["AUTH", *([target.username] if target.username else []), target.password])
        if target.db:
            login.append(["SELECT", target.db])
        try:
            self.ask_all(login)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, *words: bytes | str | int) -> Any:
        """One command's reply."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Sequence[Sequence[bytes | str | int]]) -> list[Any]:
        """The replies to commands that are sent together."""
        replies: list[Any] = []
        try:
            self._socket.sendall(b"".join(encode(*words) for words in commands))
            while len(replies) < len(commands):
                reply = self._reader.gets()
                if reply is not False:
                    replies.append(self._checked(reply))
                elif data := self._socket.recv(1 << 18):
                    self._reader.feed(data)
                else:
                    raise NotYet("the server closed the connection")
        except TimeoutError:
            raise NotYet(f"no answer within {ANSWER_S:g} s") from None
        except OSError as error:
            raise NotYet(f"the connection broke ({error})") from None
        return replies

    def _checked(self, reply: Any) -> Any:
        if not isinstance(reply, self._refusal):
            return reply
        if str(reply).startswith(PASSING):
            raise NotYet(f"the answer '{reply}'")
        raise Unreadable(f"the answer '{reply}'")

    def close(self) -> None:
        """Close it. Again is harmless."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
