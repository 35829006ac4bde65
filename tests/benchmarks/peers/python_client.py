"""A Python client library that takes its turns in an interpreter of its own."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.child_process import for_python
from tests.benchmarks.peers.child_process import output_of
from tests.benchmarks.peers.contestant import NotInstalled, Result
from tests.benchmarks.peers.tool_report import result_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def versions_of(parts: Sequence[str]) -> str:
    """The versions of the libraries that it is made of. Raises NotInstalled."""
    try:
        return ", ".join(f"{part} {version(part)}" for part in parts)
    except PackageNotFoundError as missing:
        raise NotInstalled(f"{missing.name} is missing: pip install {missing.name}") from None


def run_program(
    program: str, task: Mapping[str, Any], seconds: float, environment: Mapping[str, str] | None = None
) -> Result:
    """Run a file of this folder with the task as JSON; it reports in JSON too. Raises TurnFailed."""
    path = Path(__file__).with_name(program)
    # -P: this folder must not come before the installed packages.
    command = [sys.executable, "-P", str(path), json.dumps({**task, "seconds": seconds})]
    return result_of(output_of(command, seconds, environment=environment or for_python()))
