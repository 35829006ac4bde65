"""Who is writing a partial run, whether that process still lives, and what becomes of its run if not.

The owner's file names pid and boot id for a person who finds the folder. Whether the writer lives is
known from a lock that the kernel drops with the process: a pid can be reused, and means nothing in
another container that shares the folder. `sweep` gives a run whose harness was killed its name and
marks it interrupted.
"""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Self

from bench.core.machine_limits import RAW_LOG_PREFIX
from bench.results import layout
from bench.results.layout import OWNER
from bench.results.run_record import INTERRUPTED, Anomaly, RunRecord, ScenarioRecord

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_under_way(folder: Path) -> bool:
    """Whether a living process is still writing the run in `folder`."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: then it is not known
        return False
    finally:
        os.close(descriptor)
    return False


class Ownership:
    """The hold of a living process on a partial folder."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path) -> Self:
        """Write the owner's file into `folder` and hold it. Raises OSError."""
        descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else None
        os.write(descriptor, json.dumps({"pid": os.getpid(), "boot_id": boot}).encode() + b"\n")
        return cls(descriptor)

    @classmethod
    def inherit(cls, folder: Path) -> Self | None:
        """Take over a folder whose writer is gone; None while it lives, or when another took it."""
        try:
            descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None  # another user's, or no folder at all
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the open and the lock another sweep may have renamed the folder away.
            still_there = os.path.samestat(os.fstat(descriptor), (folder / OWNER).stat())
        except (BlockingIOError, FileNotFoundError):
            still_there = False
        if not still_there:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        """Let go. Harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


GONE = Anomaly(
    code="harness_gone",
    severity="invalid",
    message="the harness ended without finishing this run; it holds what had been written until then",
)


def sweep(out: Path) -> list[Path]:
    """Rename every partial folder in `out` whose writer is gone, and return their new paths.

    One that was killed before its folder had the name of a partial run is removed: nothing is in it. Two
    sweeps at the same time are harmless, and so is a sweep beside a living run. Raises OSError.
    """
    if not out.is_dir():
        return []
    kept = []
    for folder in sorted(out.iterdir()):
        if layout.STARTING_NAME.fullmatch(folder.name):
            _remove_started(folder)
        if layout.RUN_NAME.fullmatch(folder.name):
            _remove_raw_logs(folder)  # of a run that an earlier version kept
        match = layout.PARTIAL_NAME.fullmatch(folder.name)
        if match is None or (out / match["run"]).exists():
            continue
        owner = Ownership.inherit(folder)
        if owner is None:
            continue
        try:
            final = out / match["run"]
            _mark_interrupted(folder, match["run"])
            _remove_raw_logs(folder)
            folder.rename(final)
            (final / layout.OWNER).unlink()
            kept.append(final)
        finally:
            owner.release()
    return kept


def _remove_started(folder: Path) -> None:
    owner = Ownership.inherit(folder)
    if owner is not None:
        shutil.rmtree(folder, ignore_errors=True)
        owner.release()


def _remove_raw_logs(folder: Path) -> None:
    """What the engines wrote for operations.npy. How much of it was written died with them, and it is as
    large as the whole plan would have made it.
    """
    logs = list(folder.glob(f"{RAW_LOG_PREFIX}*"))
    if logs:
        (folder / layout.OPERATIONS).unlink(missing_ok=True)  # killed while it was made of them
    for log in logs:
        log.unlink(missing_ok=True)


def _mark_interrupted(folder: Path, run: str) -> None:
    record = _outline(folder)
    marked = record.model_copy(
        update={
            "format": layout.FORMAT,
            "run": run,
            "status": INTERRUPTED,
            "anomalies": [*record.anomalies, GONE],
        }
    )
    layout.write_whole(folder / layout.RECORD, layout.as_json(marked.to_json()))


def _outline(folder: Path) -> RunRecord:
    """What the run had written about itself, or at least the scenario that its name contains."""
    try:
        return RunRecord.read(layout.read_json(folder / layout.RECORD))
    except (OSError, ValueError):
        pass  # killed before the outline, or damaged since: the name is what remains
    named = layout.PARTIAL_NAME.fullmatch(folder.name)
    parts = layout.RUN_NAME.fullmatch(named["run"]) if named else None
    return RunRecord(scenario=ScenarioRecord(name=parts["scenario"])) if parts else RunRecord()
