"""A process that takes something away from the machine for a stated time, then ends by itself.

Run by its path, standard library only: `burner.py cpu SECONDS SHARE`, `burner.py memory SECONDS BYTES`,
`burner.py io SECONDS BYTES FOLDER`. It says "ready" when it holds what it was told to hold. It ends when
its stdin ends, when its parent dies, and when its time is over, whatever comes first.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
SLICE_S = 0.01
PAGE_BYTES = 4096
BLOCK_BYTES = 1 << 20


def is_over(until: float) -> bool:
    """Whether to end: the time is over, or nobody holds our stdin any more."""
    return time.monotonic() >= until or bool(select.select([0], [], [], 0)[0])


def burn_cpu(until: float, share: float) -> None:
    """Keep one processor busy for a share of every slice."""
    ready()
    while not is_over(until):
        begin = time.monotonic()
        while time.monotonic() < begin + SLICE_S * share:
            pass
        if share < 1:
            time.sleep(max(begin + SLICE_S - time.monotonic(), 0))


def hold_memory(until: float, size: int) -> None:
    """Hold memory that is really there: every page is written."""
    held = bytearray(size)
    for at in range(0, size, PAGE_BYTES):
        held[at] = 1
    ready()
    while not is_over(until):
        time.sleep(SLICE_S)


def write_blocks(until: float, size: int, folder: str) -> None:
    """Write a file again and again, each block on the disk before the next; never more than `size`.

    The file has no name, so that it is gone with this process, however that ends.
    """
    block = os.urandom(min(BLOCK_BYTES, size))
    fd = nameless_file(folder)
    at = 0
    os.pwrite(fd, block, at)  # a disk without room is told before the word that we are at work
    ready()
    while not is_over(until):
        os.pwrite(fd, block, at)
        os.fdatasync(fd)
        at = at + len(block) if at + 2 * len(block) <= size else 0


def nameless_file(folder: str) -> int:
    """A file in the folder that no name leads to."""
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    except OSError:  # not every file system can do that
        path = f"{folder}/holdfast-io-{os.getpid()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)  # noqa: PTH108 - started without site-packages, as quickly as can be
        return fd


def ready() -> None:
    """Tell who started us."""
    os.write(1, b"ready\n")


def main() -> None:
    """Do as the arguments say."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # Should memory run out after all, the kernel takes this process and nobody else's.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - as above
        score.write("1000")
    kind, seconds = sys.argv[1], float(sys.argv[2])
    until = time.monotonic() + seconds
    if kind == "cpu":
        burn_cpu(until, float(sys.argv[3]))
    elif kind == "memory":
        hold_memory(until, int(sys.argv[3]))
    else:
        write_blocks(until, int(sys.argv[3]), sys.argv[4])


if __name__ == "__main__":
    main()
