"""What a service's own forks leave behind when the supervisor was killed.

The kernel kills a service with its supervisor, but not the forks of the service (Redis forks to
rewrite its append-only file). They are known by two facts together, so that a process number given
to a stranger meanwhile does no harm: the process group of the service, and its working directory.
"""

import contextlib
import os
import signal
import time
from pathlib import Path


def await_end_of_strays(group: int, directory: Path, deadline_s: float) -> None:
    """Kill them until none is left, for `deadline_s` at most."""
    deadline = time.monotonic() + deadline_s
    while kill_strays(group, directory) and time.monotonic() < deadline:
        time.sleep(0.002)


def kill_strays(group: int, directory: Path) -> list[int]:
    """Kill the processes of the group that work in the directory; return their ids."""
    killed = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        with contextlib.suppress(OSError):  # it ended, or is someone else's
            place = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
            if os.getpgid(pid) == group and place.is_relative_to(directory):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    return killed
