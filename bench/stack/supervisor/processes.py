"""Which process it is, whether a harness that left a note still runs, and what a killed service leaves
behind.

Process numbers are given away again, and start anew at a boot. A state folder or an engine may be
shared by machines and containers: a process of another one looks dead from here, so a note says where
its process is, and what cannot be judged from here is left alone.

The kernel kills a service with its supervisor, but not the processes that the service forked: Redis
forks to rewrite its append-only file, Postgres for every connection. Two facts together identify them:
they work in the data directory, whose name is unique, and they have no terminal, so the shell of a
user who looks around in that directory is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process's number, the clock ticks from the boot to its start, and that boot."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Of a living process; None when there is none of this number."""
        start_ticks = _start_ticks(pid)
        return None if start_ticks is None else cls(pid, start_ticks, _boot_id())

    @classmethod
    def from_json(cls, entry: Any) -> Self | None:
        """Its fields out of a file; None for anything else."""
        match entry:
            case {"pid": int(pid), "start_ticks": int(start_ticks), "boot_id": str(boot_id)} if pid > 0:
                return cls(pid, start_ticks, boot_id)
        return None

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot_id == _boot_id() and _start_ticks(self.pid) == self.start_ticks

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it is gone, and for a process that has its number since."""
        with self._handle() as handle:
            if handle is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)

    def wait(self, deadline_s: float) -> bool:
        """Wait for its end, at most so long; whether it has ended."""
        with self._handle() as handle:
            if handle is None:
                return True
            deadline = time.monotonic() + deadline_s
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(max(deadline - time.monotonic(), 0) * 1000))

    @contextlib.contextmanager
    def _handle(self) -> Iterator[int | None]:
        """A handle of the kernel's, which stays with the process; None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError as error:
            # Its number may be that of a thread by now: kernels say so in different words.
            if error.errno not in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
                raise
            yield None
            return
        try:
            # Looked at after the handle was got: the number cannot change hands in between.
            yield handle if self.is_alive() else None
        finally:
            os.close(handle)


def stat_of(pid: int) -> list[str]:
    """What the kernel says of a process behind its name: state, parent, group ... Raises OSError."""
    # "pid (name) state ...": a name may hold anything.
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _start_ticks(pid: int) -> int | None:
    """None for a zombie too: it only waits for its parent to look."""
    try:
        words = stat_of(pid)
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


Fate = Literal["alive", "gone", "unknown"]


def own_entry() -> dict[str, Any]:
    """This process: its identity, its machine and its name space of process numbers."""
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    return {**asdict(identity), "host": platform.node(), "pids": _name_space()}


def fate_of(entry: Any) -> Fate:
    """What became of the process of an entry; unknown where that cannot be judged from here."""
    identity, ours = ProcessIdentity.from_json(entry), ProcessIdentity.of(os.getpid())
    if identity is None or ours is None:
        return "unknown"
    host, name_space = entry.get("host"), entry.get("pids")
    if host is not None and host != platform.node():
        return "unknown"
    if identity.boot_id != ours.boot_id:
        # The same machine before it was started anew. Without a host it may be any machine.
        return "unknown" if host is None else "gone"
    if identity.is_alive():
        return "alive"
    # From another name space a living process looks like none.
    return "gone" if name_space in (None, _name_space()) else "unknown"


def place_of(entry: Any) -> str:
    """Where the process of an entry is or was, in words."""
    if not isinstance(entry, dict) or entry.get("host") is None:
        return "another machine, or this one before it was started anew"
    if entry["host"] != platform.node():
        return f"the machine {entry['host']}"
    return "another container or name space of process numbers of this machine"


def _name_space() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def await_end_of_orphans(directory: Path, deadline_s: float) -> None:
    """Kill them until none is left, for `deadline_s` at most."""
    deadline = time.monotonic() + deadline_s
    while kill_orphans(directory) and time.monotonic() < deadline:
        time.sleep(0.002)


def kill_orphans(directory: Path) -> list[int]:
    """Kill the processes that work in the directory; return their ids."""
    killed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended, or is someone else's
                if _kill_if_orphan(int(entry.name), directory.resolve()):
                    killed.append(int(entry.name))
    return killed


def _kill_if_orphan(pid: int, directory: Path) -> bool:
    # Held by a descriptor from before the look: its number may be a stranger's after it.
    process = os.pidfd_open(pid)
    try:
        place = str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
        _state, _parent, _group, _session, terminal, *_ = stat_of(pid)
        if not Path(place).is_relative_to(directory) or terminal != "0":
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
        return True
    finally:
        os.close(process)
