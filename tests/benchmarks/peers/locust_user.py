"""A Locust user that asks Redis through redis-py, headless, on one core: the ordinary way to write it."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.child_process import for_python
from tests.benchmarks.peers.child_process import output_of
from tests.benchmarks.peers.contestant import NotInstalled, Result, TurnFailed
from tests.benchmarks.peers.tool_report import result_of

if TYPE_CHECKING:
    from tests.benchmarks.peers.key_space import KeySpace

USER_FILE = Path(__file__).with_name("locust_get_user.py")
TASK_VARIABLE = "HOLDFAST_PEERS_TASK"
LIMIT_S = 30
"""How long after its time Locust ends by itself, should the user file not end it."""


class LocustUser:
    """As many users as there are connections, without waiting time."""

    name = "Locust user"

    def __init__(self, keys: KeySpace) -> None:
        self._keys = keys

    def available(self) -> str:
        """The versions of Locust and of the client that the user calls."""
        try:
            return f"locust {version('locust')}, redis {version('redis')}"
        except PackageNotFoundError:
            raise NotInstalled("locust is missing: pip install locust") from None

    def run(self, seconds: float) -> Result:
        """One headless test, counted from the moment in which all users run."""
        keys = self._keys
        count = str(keys.connections)
        with tempfile.TemporaryDirectory(prefix="holdfast-peers-") as folder:
            report = Path(folder) / "report.json"
            task = {
                "host": keys.target.host,
                "port": keys.target.port,
                "prefix": keys.prefix,
                "key_count": keys.key_count,
                "seed": keys.seed,
                "seconds": seconds,
                "report": str(report),
            }
            command = [sys.executable, "-P", "-m", "locust", "-f", str(USER_FILE), "--headless"]
            command += ["-u", count, "-r", count, "-t", f"{seconds + LIMIT_S:.0f}s"]
            command += ["--only-summary", "--loglevel", "WARNING"]
            # In an empty folder, and without the caller's LOCUST_* settings: nothing else configures it.
            environment = {**for_python(), TASK_VARIABLE: json.dumps(task)}
            output_of(command, seconds, folder=Path(folder), environment=environment)
            try:
                return result_of(report.read_text(encoding="utf-8"))
            except OSError:
                raise TurnFailed("Locust ended without a report") from None
