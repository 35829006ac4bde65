"""The watchdog: a separate process that undoes what a harness leaves when it is gone.

    harness ──stdin──▶ watchdog ──(end of file)──▶ the journal's open entries are healed

It does nothing while the harness lives; a harness that ends in order has emptied its journal.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

from bench.core.child_process import HelperProcess, for_python
from chaos.journal import HEALING_S, JournalLock

READY = b"ready\n"


class Watchdog:
    """Watches over one journal from outside the harness."""

    def __init__(self, journal: Path, lock: JournalLock | None = None) -> None:
        """lock: the harness's, kept by the watchdog until it has healed; without it, it takes one."""
        self._helper = HelperProcess(
            ["-m", "chaos.watchdog", str(journal), *(["held"] if lock else [])],
            for_python(),
            pass_fds=[lock.descriptor] if lock else [],
        )
        if self._helper.first_line() != READY:  # before any fault: it must be able to do its work
            raise RuntimeError("the watchdog did not start")

    def close(self) -> None:
        """The journal is empty, or what is left in it is the watchdog's to undo now. Idempotent.

        Waits for its end; one that was stopped is killed.
        """
        self._helper.end(HEALING_S)


def main() -> None:
    """Wait for the harness's end, then heal."""
    from bench.core.errors import HealError
    from chaos.journal import heal, read_journal

    path, is_lock_held = Path(sys.argv[1]), sys.argv[2:] == ["held"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the harness makes healing all the more necessary
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    while sys.stdin.buffer.read(4096):
        pass
    if not path.exists():
        return
    # Another harness that holds it by now has healed this one's journal already.
    lock = None if is_lock_held else JournalLock.take(path.parent, lambda: not path.exists())
    if (is_lock_held or lock is not None) and path.exists():
        with contextlib.suppress(HealError):  # the journal stays, for `bench heal` to report
            heal(read_journal(path))


if __name__ == "__main__":
    main()
