"""redis-py's asyncio client under uvloop, replies parsed by hiredis: what a fast Python application uses."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers.child_process import output_of
from bench.peers.contestant import NotInstalled, Result
from bench.peers.tool_report import result_of

if TYPE_CHECKING:
    from bench.peers.key_space import KeySpace

PROGRAM = Path(__file__).with_name("redis_py_process.py")
PARTS = ("redis", "hiredis", "uvloop")


class RedisPy:
    """One process, one task and one connection per lane."""

    name = "redis-py uvloop"

    def __init__(self, keys: KeySpace) -> None:
        self._keys = keys

    def available(self) -> str:
        """The versions of its three parts."""
        try:
            return ", ".join(f"{part} {version(part)}" for part in PARTS)
        except PackageNotFoundError as missing:
            raise NotInstalled(f"{missing.name} is missing: pip install {missing.name}") from None

    def run(self, seconds: float) -> Result:
        """One turn in a fresh interpreter."""
        keys = self._keys
        task = {
            "host": keys.target.host,
            "port": keys.target.port,
            "connections": keys.connections,
            "prefix": keys.prefix,
            "key_count": keys.key_count,
            "seed": keys.seed,
            "seconds": seconds,
        }
        # -P: this folder must not come before the installed packages.
        return result_of(output_of([sys.executable, "-P", str(PROGRAM), json.dumps(task)], seconds))
