"""A tool's turn in a process of its own, with an end in any case."""

from __future__ import annotations

import resource
import subprocess
from typing import TYPE_CHECKING

from bench.core.child_process import for_program
from tests.benchmarks.peers.contestant import TurnFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GRACE_S = 60.0
"""Start and end of an interpreter on a busy machine, many times over. Without a limit
redis-benchmark waits for ever for a server that is gone."""

TOLD_CHARACTERS = 200


def output_of(
    command: Sequence[str],
    seconds: float,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command that should take about `seconds` and return what it wrote to stdout.

    `environment` is all that it gets; else what every program gets.
    Raises TurnFailed when the command fails or does not end.
    """
    limit_s = seconds + GRACE_S
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
            cwd=folder,
            env=for_program() if environment is None else environment,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise TurnFailed(f"no end within {limit_s:.0f} s") from None
    except OSError as error:
        raise TurnFailed(f"it could not be started: {error.strerror}") from None
    if done.returncode != 0:
        raise TurnFailed(f"exit status {done.returncode}: {last_words(done.stderr or done.stdout)}")
    return done.stdout


def children_cpu_s() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_words(text: str) -> str:
    """The last line that is not blank, cut to what a table's footnote can hold."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:TOLD_CHARACTERS] if lines else "it said nothing"
