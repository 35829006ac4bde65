"""Shared memory that a killed Postgres leaves behind: the kernel keeps it until someone removes it.

A Postgres that starts again in its data directory finds and removes it. One whose directory goes away
cannot, so we do: `postmaster.pid` names the System V segment, whose header names the control segment
under /dev/shm, which lists the others. Both begin with numbers that say what they are
(`PGShmemHeader` and `dsm_control_header` in PostgreSQL's source); what looks otherwise is left alone.
"""

import contextlib
import ctypes
import struct
from pathlib import Path

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
