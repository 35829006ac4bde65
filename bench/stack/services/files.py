"""What a service leaves on this machine: a data directory, log files, and shared memory of a killed
Postgres.

A data directory is in use while a process holds the lock on the file `lock` in it. The kernel releases
a lock when its holders die, however they die, so sweeping the others needs no process ids.

A Postgres that starts again in its data directory finds and removes its shared memory. One whose
directory is removed cannot, so we do: `postmaster.pid` names the System V segment, whose header names
the control segment under /dev/shm, which lists the others. Both begin with numbers that say what they
are (`PGShmemHeader` and `dsm_control_header` in PostgreSQL's source); what looks otherwise is left
alone.
"""

import contextlib
import ctypes
import fcntl
import itertools
import os
import secrets
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Self

from bench.core.errors import UsageError
from bench.stack.supervisor.processes import await_end_of_orphans

DATA = "data"
"""The folder of a Postgres inside its directory."""
_ATTACHED_SEGMENTS = Path("/proc/sysvipc/shm")
_NAMED_SEGMENTS = Path("/dev/shm")  # noqa: S108 - the kernel's name for it, no place for temporary files
_SHM_RDONLY = 0o10000
_IPC_RMID = 0
_HEADER = struct.Struct("=iiQQI")
_HEADER_MAGIC = 679834894
_CONTROL = struct.Struct("=III4x")
_CONTROL_MAGIC = 0x9A503D32
_ITEM = struct.Struct("=II32x")


def remove_shared_memory(directory: Path) -> None:
    """Remove what a Postgres in `directory` has left; nothing while a process still uses it."""
    with contextlib.suppress(OSError, ValueError):  # no Postgres, or one that ended well
        for identity in _left_behind(_key_of(directory / DATA)):
            libc = ctypes.CDLL(None)
            _remove_named(_control_segment(libc, identity))
            libc.shmctl(identity, _IPC_RMID, None)


def _key_of(data: Path) -> int:
    """The key of its segment, modulo 2^32: as `postmaster.pid` has it, which is written a moment after the
    segment is made; before, the number of the folder's inode, with which Postgres begins to look for a key.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((data / "postmaster.pid").read_text().splitlines()[6].split()[0]) % 2**32
    return data.stat().st_ino % 2**32


def _left_behind(key: int) -> list[int]:
    """The segments of this key that no process uses."""
    names, *rows = (line.split() for line in _ATTACHED_SEGMENTS.read_text().splitlines())
    segments = [dict(zip(names, map(int, row), strict=False)) for row in rows]
    return [
        segment["shmid"] for segment in segments if segment["key"] % 2**32 == key and segment["nattch"] == 0
    ]


def _control_segment(libc: ctypes.CDLL, identity: int) -> Path:
    libc.shmat.restype = ctypes.c_void_p
    libc.shmdt.argtypes = [ctypes.c_void_p]
    address = libc.shmat(identity, None, _SHM_RDONLY)
    if address in (None, ctypes.c_void_p(-1).value):
        raise ValueError("not ours to look at")
    try:
        magic, _, _, _, control = _HEADER.unpack(ctypes.string_at(address, _HEADER.size))
    finally:
        libc.shmdt(address)
    if magic != _HEADER_MAGIC:
        raise ValueError("not the header of a Postgres")
    return _named(control)


def _remove_named(control: Path) -> None:
    with contextlib.suppress(OSError, struct.error):
        content = control.read_bytes()
        magic, items, most = _CONTROL.unpack_from(content)
        if magic != _CONTROL_MAGIC or len(content) != _CONTROL.size + most * _ITEM.size:
            return
        for number in range(items):
            handle, _ = _ITEM.unpack_from(content, _CONTROL.size + number * _ITEM.size)
            with contextlib.suppress(OSError):  # it lies in the main segment, or is gone
                _named(handle).unlink()
        control.unlink()


def _named(handle: int) -> Path:
    return _NAMED_SEGMENTS / f"PostgreSQL.{handle}"


PREFIX = "holdfast-"
ORPHANS_DEADLINE_S = 3.0
_LOCK = "lock"


class DataDirectory:
    """A new directory with its lock held. Pass `lock_fd` on to who must keep it alive.

    It has its name before it is made, so that a Ctrl-C in between leaves nothing unknown behind.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(8)}")
        self.lock_fd = -1

    def create(self) -> Self:
        """Make it and take its lock. Raises OSError."""
        self.path.mkdir(mode=0o700)
        # Locked under another name first: a sweep never sees a `lock` that is not held yet.
        unlocked = self.path / "new-lock"
        self.lock_fd = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(self.path / _LOCK)
        return self

    def remove(self) -> None:
        """Remove the directory if it is still there, and let go of the lock. Idempotent.

        Nothing may be running in it any more.
        """
        _remove(self.path)
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1


def sweep_data_directories() -> list[Path]:
    """Remove the directories of this user that no process holds any more; return them."""
    swept = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.geteuid() or not (path / _LOCK).is_file():
                continue
            with (path / _LOCK).open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                await_end_of_orphans(path, ORPHANS_DEADLINE_S)
                _remove(path)
                swept.append(path)
    return swept


def _remove(path: Path) -> None:
    remove_shared_memory(path)
    shutil.rmtree(path, ignore_errors=True)


TAIL_BYTES = 8 * 1024


def new_log_file(folder: Path, stem: str, suffix: str) -> Path:
    """Create `stem.suffix` in the folder, or `stem-2.suffix` and so on if that exists.

    Raises UsageError if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path.resolve()
    except OSError as error:
        raise UsageError(f"logs cannot be written to {folder}: {error.strerror}") from None
    raise AssertionError  # the count does not end


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines that are not blank; none if the file cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()][-count:]
