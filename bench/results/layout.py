"""What a run folder is made of: its names, the version of its format, the columns of resources.csv.

Also how its files are written: whole or absent. `results/FORMAT.md` documents the folder.
"""

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

FORMAT = 1
"""Grows when an old reader would misread a new run. Its history stands in `results/FORMAT.md`."""

RECORD = "run.json"
WINDOWS = "windows.hlog"
SERIES = "series.csv"
RESOURCES = "resources.csv"
EVENTS = "events.jsonl"
ACTIVITY = "activity.jsonl"
PROMETHEUS = "prometheus.csv"
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


def named_utc(run: str) -> datetime | None:
    """When a run began, by its name; None for another name."""
    match = RUN_NAME.fullmatch(run)
    try:
        return datetime.strptime(match["utc"], "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


def run_folders(folder: Path) -> list[Path]:
    """The folders right below that hold a run, by their names: the oldest first."""
    return sorted(record.parent for record in folder.glob(f"*/{RECORD}"))


def starting_name(run: str) -> str:
    """The folder of a run that has no owner yet."""
    return f".{run}.starting"


def partial_name(run: str) -> str:
    """The folder of a run that has not ended yet: hidden, so that no reader takes it for a result."""
    return f".{run}.partial"


Cell = float | str | None


@dataclass
class ResourceRow:
    """The columns of resources.csv; None where a source has no such figure."""

    at_ns: int
    phase: str
    source: str
    pid: float | None = None
    processes: float | None = None
    cores: float | None = None
    cpu_s: float | None = None
    rss_bytes: float | None = None
    """Resident; pages that processes share count once for each."""
    pss_bytes: float | None = None
    """Resident; shared pages are divided among those that have them."""
    working_set_bytes: float | None = None
    fds: float | None = None
    threads: float | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    used_memory_bytes: float | None = None
    used_memory_rss_bytes: float | None = None
    fragmentation_ratio: float | None = None
    clients: float | None = None
    evicted_keys: float | None = None
    active: float | None = None
    idle: float | None = None
    idle_in_transaction: float | None = None
    other_sessions: float | None = None
    waiting_lock: float | None = None
    waiting_lwlock: float | None = None
    waiting_io: float | None = None
    waiting_client: float | None = None
    waiting_other: float | None = None
    commits: float | None = None
    rollbacks: float | None = None
    deadlocks: float | None = None
    temp_bytes: float | None = None
    buffer_hit_ratio: float | None = None
    pool_in_use: float | None = None
    pool_size: float | None = None
    run_queue_s: float | None = None
    run_queue_worst_s: float | None = None
    throttled_s: float | None = None
    steal_s: float | None = None
    cpu_pressure_s: float | None = None
    memory_pressure_s: float | None = None
    io_pressure_s: float | None = None

    @classmethod
    def read(cls, cells: Mapping[str, Cell]) -> Self:
        """A row of the file. Columns of a newer version are ignored."""
        row = cls(int(cells["at_ns"] or 0), str(cells.get("phase", "")), str(cells["source"]))
        row.add({name: float(cells[name] or 0) for name in _FIGURES if cells.get(name) not in (None, "")})
        return row

    def add(self, figures: Mapping[str, float | None]) -> None:
        """Set columns by their names. Raises AttributeError for one that does not exist."""
        for name, value in figures.items():
            if name not in _FIGURES:
                raise AttributeError(f"resources.csv has no column {name}")
            setattr(self, name, value)

    def figures(self) -> dict[str, float]:
        """The columns that have a figure."""
        return {name: value for name in _FIGURES if (value := getattr(self, name)) is not None}

    def cells(self) -> dict[str, Cell]:
        """For the file: when and what was sampled, and the figures."""
        return {"at_ns": self.at_ns, "phase": self.phase, "source": self.source, **self.figures()}


_FIGURES = tuple(field.name for field in fields(ResourceRow))[3:]


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
    # A link there stands for a file that is open, and what opened it may be about to append to it.
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
