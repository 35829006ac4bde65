"""What a harness that was killed leaves: a stopped process, and a journal that tells how to undo it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from bench.stack.supervisor.processes import ProcessIdentity, own_entry
from chaos.undo import (
    ContinueProcesses,
    Undo,
)
from tests.helpers.waiting import eventually

DEAD = own_entry() | {"pid": 1, "start_ticks": 1, "boot_id": "of another time"}
"""A harness of this machine, before it was started anew."""


def is_stopped(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


def paused(process: psutil.Process) -> ContinueProcesses:
    """The process stopped, and how it is healed."""
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    process.suspend()
    eventually(lambda: is_stopped(process), "the process is stopped")
    return ContinueProcesses((identity,))


def left_by_the_dead(folder: Path, *lines: Any) -> Path:
    """A journal whose harness is gone."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "left.jsonl"
    text = [line if isinstance(line, str) else json.dumps(line) for line in ({"harness": DEAD}, *lines)]
    path.write_text("\n".join(text))
    return path


def intent(entry: Any, number: str = "1", what: str = "a pause") -> dict[str, Any]:
    return {"intend": number, "what": what, "undo": entry.to_json() if isinstance(entry, Undo) else entry}


HARNESS = """
import json, os, signal, sys
from chaos.journal import Journal
from chaos.undo import read_undo
from chaos.watchdog import Watchdog
journal = Journal()
watchdog = Watchdog(journal.path, journal.lock)
journal.intend("pause", read_undo(json.loads(sys.argv[1])))
print(watchdog._helper.pid, flush=True)
sys.stdin.readline()
"""


def harness(undo: Undo) -> tuple[subprocess.Popen[str], int]:
    """A process with a fault in its journal and a watchdog, and that watchdog's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, json.dumps(undo.to_json())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()
