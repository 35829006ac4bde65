"""The journal: what was done to the system and is not undone yet, on disk before it is done.

One file for each run with faults, in the user's state folder: first the harness, then a line when a
fault is about to be made and one when its undoing was seen to work. A line is on disk before the
fault is made. Whoever finds open entries whose harness is gone undoes them: the reaper at once,
`bench heal` or the next run otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import HealError, UsageError
from bench.stack.keeper_state import state_folder
from bench.stack.process_identity import ProcessIdentity
from chaos.undo import Undo, undo

SUFFIX = ".jsonl"


def journal_folder() -> Path:
    """Where journals are: `faults` in the state folder of this user. Raises UsageError."""
    return state_folder() / "faults"


class Journal:
    """The journal of one run. Only one run with faults can be under way for one user.

    Raises UsageError while there is another, and where it cannot be written. Safe in threads.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or journal_folder()
        self._open: set[str] = set()
        self._writing = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(folder, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
            self._begin()
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, BlockingIOError):
                raise UsageError(
                    "another run with faults is under way; wait for its end: two at once could not tell"
                    " apart what each of them broke"
                ) from None
            if isinstance(error, OSError):
                raise _unwritable(folder, error) from None
            raise

    def _begin(self) -> None:
        """Under another name first: a journal that has no harness yet would look like an orphan."""
        new = self.path.with_suffix(".new")
        self._fd = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            harness = ProcessIdentity.of(os.getpid())
            self._append({"harness": harness.to_json() if harness else None})
            new.rename(self.path)
            _sync_folder(self.path.parent)
        except BaseException:
            os.close(self._fd)
            new.unlink(missing_ok=True)
            raise

    def intend(self, what: str, entry: Undo) -> str:
        """Note what is about to be done and how to undo it; the number of the entry. Synced.

        Raises OSError; then nothing is noted, and nothing may be done.
        """
        number = uuid.uuid4().hex
        self._append({"intend": number, "what": what, "undo": entry})
        self._open.add(number)
        return number

    def done(self, number: str) -> None:
        """Its undoing was seen to work. A disk without room is no harm: undoing it again is none."""
        with contextlib.suppress(OSError):
            self._append({"done": number})
        self._open.discard(number)

    def close(self) -> None:
        """Remove the journal, unless something in it is still open. Again is harmless."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if not self._open:
            self.path.unlink(missing_ok=True)
        os.close(self._lock)

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line).encode() + b"\n"
        with self._writing:
            before = os.fstat(self._fd).st_size
            try:
                while text:
                    text = text[os.write(self._fd, text) :]
                os.fsync(self._fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, before)  # half a line would spoil the next one
                raise


@dataclass
class Leftover:
    """A journal that somebody left, with what is open in it."""

    path: Path
    harness: ProcessIdentity | None
    entries: dict[str, tuple[str, Undo]] = field(default_factory=dict)

    @property
    def is_orphaned(self) -> bool:
        """Whether its harness is gone."""
        return self.harness is None or not self.harness.is_alive()


def leftovers(folder: Path | None = None) -> list[Leftover]:
    """Every journal that is there, of living harnesses too."""
    folder = folder or journal_folder()
    # Without a folder, or one that is not ours to read, there are none.
    return [read_journal(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def heal(one: Leftover) -> list[str]:
    """Undo what is open in a journal, the last first; what was done, one sentence each.

    Raises HealError, with the journal kept, where something could not be undone.
    """
    told, failed = [], []
    for number, (what, entry) in reversed(one.entries.items()):
        problem = undo(entry)
        if problem is None:
            told.append(f"undone: {what}")
            # Where that cannot be written it is undone once more the next time, which is harmless.
            with contextlib.suppress(OSError), one.path.open("ab") as file:
                file.write(b"\n" + json.dumps({"done": number}).encode() + b"\n")
        else:
            failed.append(f"{what}: {problem}")
    if failed:
        raise HealError(f"not undone: {'; '.join(failed)}. The journal {one.path} is kept")
    one.path.unlink(missing_ok=True)
    return told


def heal_orphans(folder: Path | None = None) -> list[str]:
    """Undo what harnesses that are gone have left. Raises HealError."""
    return [sentence for one in leftovers(folder) if one.is_orphaned for sentence in heal(one)]


def read_journal(path: Path) -> Leftover:
    """What is open in a journal; a half-written last line is not."""
    found = Leftover(path, None)
    for line in _lines(path):
        if "harness" in line:
            found.harness = ProcessIdentity.from_json(line["harness"])
        elif "intend" in line:
            found.entries[str(line["intend"])] = (str(line.get("what", "a fault")), line.get("undo", {}))
        elif "done" in line:
            found.entries.pop(str(line["done"]), None)
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(OSError):
        for text in path.read_bytes().split(b"\n"):
            # Half a line at the end is an entry that was not yet acted on.
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    yield line


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"a run with faults notes what it breaks before it does: expected a folder for that at {folder}, "
        f"found '{error.strerror}'; set XDG_STATE_HOME to a folder that this user may write to"
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
