"""Keeps the runs whose harness was killed: gives them their name, marked interrupted."""

from pathlib import Path
from typing import Any

from bench.run_folder import files, layout
from bench.run_folder.owner import Ownership

GONE = {
    "code": "harness_gone",
    "severity": "invalid",
    "message": "the harness ended without finishing this run; it holds what had been written until then",
}


def sweep(out: Path) -> list[Path]:
    """Rename every partial folder in `out` whose writer is gone, and return their new paths.

    Two sweeps at once are harmless, and so is a sweep beside a living run. Raises OSError.
    """
    if not out.is_dir():
        return []
    kept = []
    for folder in sorted(out.iterdir()):
        match = layout.PARTIAL_NAME.fullmatch(folder.name)
        if match is None:
            continue
        owner = Ownership.inherit(folder)
        if owner is None:
            continue
        try:
            final = out / match["run"]
            _mark_interrupted(folder, match["run"])
            folder.rename(final)
            (final / layout.OWNER).unlink()
            kept.append(final)
        finally:
            owner.release()
    return kept


def _mark_interrupted(folder: Path, run: str) -> None:
    record = _outline(folder)
    anomalies = [*record.get("anomalies", []), GONE]
    whole = {"format": layout.FORMAT, **record, "run": run, "status": "interrupted", "anomalies": anomalies}
    files.write_whole(folder / layout.RECORD, files.as_json(whole))


def _outline(folder: Path) -> dict[str, Any]:
    """What the run had written about itself, or at least the scenario that its name tells."""
    try:
        record = files.read_json(folder / layout.RECORD)
        if isinstance(record, dict):
            return record
    except (OSError, ValueError):
        pass  # killed before the outline: the name is what remains
    named = layout.PARTIAL_NAME.fullmatch(folder.name)
    parts = layout.RUN_NAME.fullmatch(named["run"]) if named else None
    return {"scenario": {"name": parts["scenario"]}} if parts else {}
