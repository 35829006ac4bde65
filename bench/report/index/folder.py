"""Which runs are in a results folder, whatever state they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import ResultError
from bench.report.index.entry import INTERRUPTED, UNDER_WAY, UNREADABLE, RunEntry, broken, entry_of
from bench.results import layout
from bench.results.owner import Ownership

if TYPE_CHECKING:
    from pathlib import Path


def is_folder_of_runs(path: Path) -> bool:
    """Whether `path` is a folder above runs, and not a run itself."""
    return path.is_dir() and not (path / layout.RECORD).exists() and not layout.RUN_NAME.fullmatch(path.name)


def entries_in(results: Path) -> list[RunEntry]:
    """Every run in the folders right below `results`, newest first. Raises ResultError for none at all."""
    if not results.is_dir():
        raise ResultError(
            f"{results}: expected a folder of runs, found nothing there; name the --out of bench run"
        )
    try:
        folders = sorted(path for path in results.iterdir() if path.is_dir())
    except OSError as error:
        raise ResultError(f"{results}: expected a folder that can be read: {error.strerror}") from error
    entries = [entry for folder in folders if (entry := _looked_into(folder)) is not None]
    if not entries:
        raise ResultError(
            f"{results}: expected runs in it, found none; bench run puts them there, "
            "or name a run's own folder"
        )
    return sorted(entries, key=lambda entry: (entry.utc, entry.run), reverse=True)


def _looked_into(folder: Path) -> RunEntry | None:
    try:
        return _entry(folder)
    except OSError as error:
        return broken(folder, UNREADABLE, f"{folder}: expected a run that can be read: {error.strerror}")


def _entry(folder: Path) -> RunEntry | None:
    """The run in a folder; None for a folder that is no run."""
    if layout.PARTIAL_NAME.fullmatch(folder.name):
        return _partial(folder)
    if folder.name.startswith("."):
        return None
    if (folder / layout.RECORD).exists():
        return entry_of(folder)
    if layout.RUN_NAME.fullmatch(folder.name):
        return broken(folder, UNREADABLE, f"{folder}: expected {layout.RECORD} in it, found none")
    return None


def _partial(folder: Path) -> RunEntry | None:
    """A run that goes on, or one whose harness was killed. Nothing in it is changed."""
    try:
        owner = Ownership.inherit(folder)
    except OSError as error:
        return broken(folder, UNDER_WAY, f"whether it still goes on cannot be told: {error.strerror}")
    if not folder.exists():
        return None  # it has ended while we looked, and has its own name now
    if owner is None:
        return broken(folder, UNDER_WAY, "the run goes on; its figures come when it has ended")
    owner.release()
    return broken(
        folder, INTERRUPTED, "its harness was killed; the next bench run here keeps what there is of it"
    )
