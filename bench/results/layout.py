"""What a run folder is made of: its names, the version of its format, the columns of resources.csv.

Also how its files are written: whole or absent. `results/FORMAT.md` documents the folder.
"""

import json
import os
import re
import secrets
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.results.resource_row import ResourceRow

FORMAT = 1
"""Grows when an old reader would misread a new run. Its history stands in `results/FORMAT.md`."""

RECORD = "run.json"
WINDOWS = "windows.hlog"
SERIES = "series.csv"
RESOURCES = "resources.csv"
EVENTS = "events.jsonl"
OPERATIONS = "operations.npy"
VERDICT = "verdict.json"
REPORT = "report.html"
OWNER = "owner.json"

RUN_NAME = re.compile(r"(?P<utc>\d{8}t\d{6}z)-(?P<scenario>[a-z][a-z0-9_]*)-(?P<id>[0-9a-f]{6})")
STARTING_NAME = re.compile(r"\.(?P<run>.+)\.starting")
PARTIAL_NAME = re.compile(r"\.(?P<run>.+)\.partial")


def run_name(scenario: str) -> str:
    """A new name, `<UTC>-<scenario>-<id>`: sorts by time; the id keeps two runs of one second apart."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dt%H%M%Sz}-{scenario}-{secrets.token_hex(3)}"


def starting_name(run: str) -> str:
    """The folder of a run that nobody owns yet."""
    return f".{run}.starting"


def partial_name(run: str) -> str:
    """The folder of a run that has not ended yet: hidden, so that no reader takes it for a result."""
    return f".{run}.partial"


COLUMNS = tuple(field.name for field in fields(ResourceRow))
"""Of resources.csv."""
GENERATOR = "generator"
"""The source that is this process."""
MACHINE = "machine"
"""The source that is the machine as a whole."""


def plain(value: object) -> object:
    """JSON's fallback: a record, or what is numpy's, as Python's own. Raises TypeError for anything else."""
    convert = getattr(value, "to_json", None) or getattr(value, "tolist", None)
    if convert is None:
        raise TypeError(f"expected a value that JSON knows, found {type(value).__name__}")
    converted: object = convert()
    return converted


def as_json(value: object) -> str:
    """Readable JSON with a line end. NaN and infinity are refused: other readers could not read them."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=plain) + "\n"


def as_read(value: object) -> Any:
    """What a reader gets of a value that is written as JSON: only Python's own, no numpy numbers."""
    return json.loads(as_json(value))


def write_whole(path: Path, text: str) -> None:
    """Put `text` at `path` so that a reader finds the old file or the new one, never half of one.

    A link is followed. A device, a pipe and an open file (/dev/stdout) are written to and stay what they are.
    """
    if _is_stream(path):
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
        return
    path = path.resolve() if path.is_symlink() else path
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _is_stream(path: Path) -> bool:
    # A link there stands for a file that is open, and whoever opened it may be about to append to it.
    is_open_file = path.is_symlink() and path.absolute().parts[1:2] in {("dev",), ("proc",)}
    return is_open_file or (path.exists() and not path.is_file())


def sync(path: Path) -> None:
    """Have the kernel put a file or folder on its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """What stands in a JSON file. Raises OSError, or ValueError for what is not JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
