"""What a service leaves behind when its supervisor was killed.

The kernel kills a service with its supervisor, but not the processes that the service forked: Redis
forks to rewrite its append-only file, Postgres for every connection. They are known by two facts
together: they work in the data directory, whose name nobody else has, and they have no terminal, so
the shell of someone who looks around in that directory is left alone.
"""

import contextlib
import os
import signal
import time
from pathlib import Path


def await_end_of_strays(directory: Path, deadline_s: float) -> None:
    """Kill them until none is left, for `deadline_s` at most."""
    deadline = time.monotonic() + deadline_s
    while kill_strays(directory) and time.monotonic() < deadline:
        time.sleep(0.002)


def kill_strays(directory: Path) -> list[int]:
    """Kill the processes that work in the directory; return their ids."""
    killed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended, or is someone else's
                if _kill_if_stray(int(entry.name), directory.resolve()):
                    killed.append(int(entry.name))
    return killed


def _kill_if_stray(pid: int, directory: Path) -> bool:
    # Held by a descriptor from before the look: its number may be a stranger's after it.
    process = os.pidfd_open(pid)
    try:
        place = str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
        # "pid (name) state parent group session terminal ...", and a name may hold anything.
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        if not Path(place).is_relative_to(directory) or state[4] != "0":
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
        return True
    finally:
        os.close(process)
