"""The harness's hand on the proxy: one JSON object a line, in on stdin, out on stdout.

    {"id": 1, "do": "add", "kind": "latency", "settings": {"delay": 5000000}}
    {"id": 2, "do": "remove", "toxic": 1}    {"id": 3, "do": "clear"}
    {"id": 4, "do": "effects", "toxic": 1}   {"id": 5, "do": "stats"}
    {"id": 6, "do": "lead_to", "host": "127.0.0.1", "port": 6379}

Each is answered, in order and after it has been done, with {"id": 1, "ok": true, ...} or
{"id": 1, "ok": false, "refused": [where, expected, found, advice]}. The end of stdin is the end of the proxy.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from chaos.proxy.toxic import ToxicError

if TYPE_CHECKING:
    from chaos.proxy.loop import Loop
    from chaos.proxy.proxy import Proxy

READ_BYTES = 65_536


class Control:
    """Reads whatever has come, does the whole lines of it."""

    def __init__(self, loop: Loop, proxy: Proxy, fd: int, out_fd: int) -> None:
        self._loop, self._proxy = loop, proxy
        self._fd, self._out_fd = fd, out_fd
        self._partial = b""

    def on_readable(self, _mask: int) -> None:
        """For the loop."""
        data = os.read(self._fd, READ_BYTES)
        if not data:
            self._loop.end()
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            self.say({"id": asked["id"], **self._answer(asked)})

    def say(self, answer: dict[str, Any]) -> None:
        """One line; the harness waits for it, so the pipe takes it."""
        data = json.dumps(answer).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._out_fd, data) :]
        except BrokenPipeError:
            self._loop.end()  # nobody is left who could undo anything

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, **self._done(asked)}
        except ToxicError as refusal:
            return {"ok": False, "refused": refusal.parts}

    def _done(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked["do"]:
            case "add":
                return self._proxy.add(asked["kind"], asked["settings"])
            case "remove":
                return self._proxy.remove(asked["toxic"])
            case "effects":
                return self._proxy.effects(asked["toxic"])
            case "clear":
                return self._proxy.clear()
            case "stats":
                return self._proxy.stats()
            case "lead_to":
                return self._proxy.lead_to(asked["host"], asked["port"])
            case unknown:
                expected, advice = "add, remove, clear, effects, stats or lead_to", "ask for one of these"
                raise ToxicError("control", expected, repr(unknown), advice)
