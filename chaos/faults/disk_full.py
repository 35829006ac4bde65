"""A disk without room: only where the target's data has a separate, bounded file system."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from pathlib import Path

from bench.core.clock import monotonic_ns
from chaos.faults.fault import Fault, stamped
from chaos.schedule import Proof, Timestamps
from chaos.undo import RemoveFile, Undo

LARGEST_BYTES = 4 << 30
BLOCK_BYTES = 1 << 20


OF_OTHERS = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "~", ".")  # noqa: S108 - looked at only
"""Whatever is on the same file system as one of these would be hit as well."""


class DiskFull(Fault):
    """Fills what is left of the target's own file system with one file, and removes it again."""

    def check(self) -> None:
        """A file system that the machine shares is never filled."""
        folder = self._folder()
        if folder is None:
            raise self._refused("a data directory that is known", "none")
        if folder.stat().st_dev in _shared_by_others():
            raise self._refused("a file system of the target's own", "one that it shares with the machine")
        size = os.statvfs(folder)
        if size.f_frsize * size.f_blocks > LARGEST_BYTES:
            raise self._refused(f"a file system of at most {LARGEST_BYTES >> 30} GiB", "a larger one")

    def _folder(self) -> Path | None:
        described = self.context.description(self.plan.target)
        return Path(described.data_directory) if described and described.data_directory else None

    def _refused(self, expected: str, found: str) -> Exception:
        return self.refuse(
            expected, found, "mount a small one (tmpfs, say) and set TMPDIR there for this stack"
        )

    def aim(self) -> None:
        """Choose the file's name, so that the journal knows it."""
        folder = self._folder()
        assert folder is not None
        self._file = folder.parent / f".holdfast-full-{uuid.uuid4().hex}"

    def undo(self) -> Undo:
        """Remove the file."""
        return RemoveFile(self._file)

    def inject(self) -> Timestamps:
        """Write until there is no room."""
        asked = monotonic_ns()
        self._was_full = False
        fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for size in (BLOCK_BYTES, 4096, 1):
                block = b"\0" * size
                with contextlib.suppress(OSError):
                    while os.write(fd, block) == size:
                        pass
            os.write(fd, b"\0")
        except OSError as error:
            self._was_full = error.errno == errno.ENOSPC
        finally:
            os.close(fd)
        return stamped(asked, monotonic_ns())

    def took_effect(self) -> Proof:
        """The kernel refused one byte more."""
        return Proof(
            self._was_full, f"{self._file.parent} {'has no room left' if self._was_full else 'has room'}"
        )

    def heal(self) -> Timestamps | None:
        """Remove the file."""
        asked = monotonic_ns()
        self._file.unlink(missing_ok=True)
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """The file is gone."""
        return Proof(not self._file.exists(), "the file that filled it is removed")

    @property
    def how(self) -> str:
        """What was done."""
        return f"{self._file.parent} was filled by a file of ours"


def _shared_by_others() -> set[int]:
    """The numbers of their file systems; not every machine has each, nor every user a home."""
    found = set()
    for place in OF_OTHERS:
        with contextlib.suppress(OSError, RuntimeError):
            found.add(Path(place).expanduser().stat().st_dev)
    return found
