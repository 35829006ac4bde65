"""Keeps the runs whose harness was killed: gives them their name, marked interrupted."""

import shutil
from pathlib import Path
from typing import Any

from bench.core.disk import RAW_LOG_PREFIX
from bench.results import files, layout
from bench.results.owner import Ownership
from bench.results.record import checked

GONE = {
    "code": "harness_gone",
    "severity": "invalid",
    "message": "the harness ended without finishing this run; it holds what had been written until then",
}


def sweep(out: Path) -> list[Path]:
    """Rename every partial folder in `out` whose writer is gone, and return their new paths.

    One that was killed before its folder had the name of a partial run is removed: nothing is in it. Two
    sweeps at once are harmless, and so is a sweep beside a living run. Raises OSError.
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
    files.write_whole(folder / layout.RECORD, files.as_json(_marked(record, run)))


def _marked(record: dict[str, Any], run: str) -> dict[str, Any]:
    anomalies = [*record.get("anomalies", []), GONE]
    return {"format": layout.FORMAT, **record, "run": run, "status": "interrupted", "anomalies": anomalies}


def _outline(folder: Path) -> dict[str, Any]:
    """What the run had written about itself, or at least the scenario that its name tells."""
    try:
        record = files.read_json(folder / layout.RECORD)
        checked(_marked(record, ""))
    except (OSError, ValueError, TypeError, AttributeError):
        pass  # killed before the outline, or damaged since: the name is what remains
    else:
        return dict(record)
    named = layout.PARTIAL_NAME.fullmatch(folder.name)
    parts = layout.RUN_NAME.fullmatch(named["run"]) if named else None
    return {"scenario": {"name": parts["scenario"]}} if parts else {}
