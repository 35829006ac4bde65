"""The journal: what was done to the system and is not healed yet, on disk before it is done.

One file for each run with faults, in the user's state folder: first the harness, then a line when a
fault is about to be made and one when it was seen to be healed. A line is on disk before the fault
is made. Any process that finds open entries of a dead harness heals them, holding the lock: the
watchdog immediately, `bench heal` or the next run otherwise. A harness of another machine or name space of
process numbers cannot be judged from here; its journal is left alone.

The lock is the right to break and to heal. A run holds it to its end and hands it to its watchdog, so
that no two processes heal the same system, and no run begins on a system that is still being healed.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import HealError, UsageError
from bench.stack.background.state import state_folder, take_lock
from bench.stack.supervisor.processes import Fate, ProcessIdentity, fate_of, own_entry, place_of
from chaos.undo import Undo, read_undo

HEALING_S = 60.0
"""Far longer than all that a run can have left takes to be undone."""
POLL_S = 0.02


class JournalLock:
    """Held until `close` by this process and every one that was given its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, is_run_under_way: Callable[[], bool]) -> JournalLock | None:
        """Take it, after any process that heals; None while a run holds it, or when HEALING_S are over.

        Raises OSError where the folder cannot be written.
        """
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + HEALING_S
        while not take_lock(descriptor):
            if is_run_under_way() or time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(POLL_S)
        return cls(descriptor)

    def close(self) -> None:
        """Release it. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


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
            lock = JournalLock.take(folder, lambda: is_run_under_way(folder))
            if lock is None:
                raise UsageError(_why_refused(folder))
            self.lock = lock
            try:
                self.path = folder / f"{uuid.uuid4().hex}{SUFFIX}"
                self._begin()
            except BaseException:
                lock.close()
                raise
        except OSError as error:
            raise _unwritable(folder, error) from None

    def _begin(self) -> None:
        """Under another name first: a journal that has no harness yet would look like an orphan."""
        new = self.path.with_suffix(".new")
        self._fd = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._append({"harness": own_entry()})
            new.rename(self.path)
            _sync_folder(self.path.parent)
        except BaseException:
            os.close(self._fd)
            new.unlink(missing_ok=True)
            raise

    def intend(self, what: str, undo: Undo) -> str:
        """Note what is about to be done and how it is healed; the number of the entry. Synced.

        Raises OSError; then nothing is noted, and nothing may be done.
        """
        number = uuid.uuid4().hex
        self._append({"intend": number, "what": what, "undo": undo.to_json()})
        self._open.add(number)
        return number

    def done(self, number: str) -> None:
        """It was seen to be healed. A disk without room does no harm, because healing is idempotent."""
        with contextlib.suppress(OSError):
            self._append({"done": number})
        self._open.discard(number)

    def close(self) -> None:
        """Remove the journal, unless something in it is still open. Idempotent."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if not self._open:
            self.path.unlink(missing_ok=True)
        self.lock.close()

    def _append(self, line: Mapping[str, object]) -> None:
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


@dataclass(frozen=True)
class Entry:
    """A fault that is not known to be healed, and how anybody can heal it."""

    what: str
    undo: Undo


@dataclass
class Leftover:
    """A journal that was left behind, with what is open in it."""

    path: Path
    harness: ProcessIdentity | None
    fate: Fate = "gone"
    """Of its harness. One that the journal does not name has not got as far as a fault."""
    place: str = ""
    """Where that is, in words."""
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def is_orphaned(self) -> bool:
        """Whether its harness is surely gone."""
        return self.fate == "gone"


def leftovers(folder: Path | None = None) -> list[Leftover]:
    """Every journal that is there, of living harnesses too."""
    folder = folder or journal_folder()
    # Without a folder, or one that is not ours to read, there are none.
    return [read_journal(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def is_run_under_way(folder: Path | None = None) -> bool:
    """Whether the harness of a journal lives, or may live elsewhere."""
    return any(journal.fate != "gone" for journal in leftovers(folder))


def left_alone(folder: Path | None = None) -> list[str]:
    """A sentence for each journal of a harness that cannot be judged from here."""
    return [_why_left_alone(journal) for journal in leftovers(folder) if journal.fate == "unknown"]


def heal(journal: Leftover) -> list[str]:
    """Heal what is open in a journal, the last first; what became of each entry, one sentence each.

    An entry that cannot be healed does not stop the others. Raises HealError then, with the journal kept. The
    journal of a harness that cannot be judged from here is left as it is.
    """
    if journal.fate == "unknown":
        return [_why_left_alone(journal)]
    done, failed = [], []
    for number, entry in reversed(journal.entries.items()):
        skipped, problem = entry.undo.nothing_left(), entry.undo.heal()
        if problem is None:
            done.append(f"skipped: {entry.what}: {skipped}" if skipped else f"healed: {entry.what}")
            # Where that cannot be written it is healed once more the next time, which is harmless.
            with contextlib.suppress(OSError), journal.path.open("ab") as file:
                file.write(b"\n" + json.dumps({"done": number}).encode() + b"\n")
        else:
            failed.append(f"{entry.what}: {problem}")
    if not failed:
        try:
            journal.path.unlink(missing_ok=True)
        except OSError as error:
            failed.append(f"{journal.path}: {error.strerror}; remove it, all that it notes is healed")
    if failed:
        raise HealError(
            f"not healed: {'; '.join(failed)}. The journal {journal.path} is kept; run `bench heal` again"
            " when what is in the way is gone, or remove it when there is nothing left to heal",
            tuple(done),
        )
    return done


def heal_orphans(folder: Path | None = None, journal: Journal | None = None) -> list[str]:
    """Heal what dead harnesses have left, one after the other, whatever becomes of each.

    journal: of the caller, who then holds the lock. While another one's run holds it nothing is done:
    it has healed when it began. Raises HealError when all were tried.
    """
    folder = folder or journal_folder()
    if not any(left.is_orphaned for left in leftovers(folder)):
        return []
    lock = None
    if journal is None:
        try:
            lock = JournalLock.take(folder, lambda: is_run_under_way(folder))
        except OSError as error:
            raise HealError(
                f"{folder / 'lock'}: {error.strerror}; it is taken before anything is healed"
            ) from None
        if lock is None:
            return []
    try:
        return _heal_all([left for left in leftovers(folder) if left.is_orphaned])
    finally:
        if lock is not None:
            lock.close()


def _heal_all(orphans: list[Leftover]) -> list[str]:
    done: list[str] = []
    failed = []
    for journal in orphans:
        try:
            done += heal(journal)
        except HealError as error:
            done += error.done
            failed.append(str(error))
    if failed:
        raise HealError("\n".join(failed), tuple(done))
    return done


def read_journal(path: Path) -> Leftover:
    """What is open in a journal; a half-written last line is not."""
    journal = Leftover(path, None)
    for line in _lines(path):
        if "harness" in line:
            journal.harness = ProcessIdentity.from_json(line["harness"])
            journal.place = place_of(line["harness"])
            if journal.harness is not None:
                journal.fate = fate_of(line["harness"])
        elif "intend" in line:
            entry = Entry(str(line.get("what", "a fault")), read_undo(line.get("undo", {})))
            journal.entries[str(line["intend"])] = entry
        elif "done" in line:
            journal.entries.pop(str(line["done"]), None)
    return journal


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(OSError):
        for text in path.read_bytes().split(b"\n"):
            # Half a line at the end is an entry that was not yet acted on.
            with contextlib.suppress(ValueError, RecursionError):
                line = json.loads(text)
                if isinstance(line, dict):
                    yield line


def _why_left_alone(journal: Leftover) -> str:
    what = ", ".join(entry.what for entry in journal.entries.values()) or "nothing open"
    return (
        f"left alone: the journal {journal.path} ({what}), whose run belongs to {journal.place}; run"
        " `bench heal` there, or remove the file when that run is gone and nothing of it is left"
    )


def _why_refused(folder: Path) -> str:
    if is_run_under_way(folder):
        return (
            "another run with faults is under way; wait for its end: two at once could not tell"
            " apart what each of them broke"
        )
    return f"another process has been healing for {HEALING_S:.0f} s; wait until `bench heal` reports its end"


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
