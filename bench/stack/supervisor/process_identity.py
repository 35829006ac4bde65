"""Which process it is, beyond its number: numbers are given away again, and start anew at a boot."""

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
        """What `to_json` gave; None for anything else."""
        match entry:
            case {"pid": int(pid), "start_ticks": int(start_ticks), "boot_id": str(boot_id)} if pid > 0:
                return cls(pid, start_ticks, boot_id)
        return None

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {"pid": self.pid, "start_ticks": self.start_ticks, "boot_id": self.boot_id}

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot_id == _boot_id() and _start_ticks(self.pid) == self.start_ticks

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it is gone, and for whoever has its number since."""
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


def _start_ticks(pid: int) -> int | None:
    """None for a zombie too: it only waits for its parent to look."""
    try:
        # "pid (name) state ...": a name may hold anything, and the start is the 22nd word.
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
