"""Compiled or plain, the load side does the same: one source, two lives."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.servers import Behaviour, LittleServer, Talk

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]


def scripted(talk: Talk) -> None:
    """Answers that depend on the command alone, so that they are the same in every run."""
    for words in talk.commands():
        if words[0] == b"SET":
            number = int(words[2][:12])
            talk.send(b"-OOM no\r\n" if number % 5 == 0 else b"+OK\r\n")
        elif words[0] == b"GET":
            talk.send(b"$-1\r\n")
        else:
            number = int(words[1][:12])
            talk.send(b"$%d\r\n%s\r\n" % (len(words[1]), words[1]) if number % 7 else b"-ERR seven\r\n")


def told(port: int, *, plain: bool) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    if plain:
        environment["NUMBA_DISABLE_JIT"] = "1"
    command = [sys.executable, "-m", "tests.engine.equivalence", str(port)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["plain"] == plain
    return answer["found"]


@pytest.mark.long
def test_with_and_without_the_jit_everything_is_the_same(serve: Callable[[Behaviour], LittleServer]) -> None:
    servers = {plain: serve(scripted) for plain in (False, True)}
    compiled, plain = (told(servers[flag].port, plain=flag) for flag in (False, True))
    for part in ("scans", "plans", "tallies"):
        assert compiled[part] == plain[part], part
    # The single lane's requests are the first stream: byte for byte the same.
    assert servers[False].streams[0] == servers[True].streams[0] != b""
    assert servers[False].commands == servers[True].commands
