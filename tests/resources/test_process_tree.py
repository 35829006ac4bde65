"""Processes added up with their descendants, read from the real /proc and from one made of files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.resources.processes import ProcessTree, open_files, pss_bytes, stat_of, transferred
from tests.helpers.processes import child_process

PARENT_AND_CHILD = """
import os, sys, time
block = bytearray(30_000_000)
if os.fork() == 0:
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    os._exit(0)
os.wait()
if os.fork() == 0:
    private = bytearray(40_000_000)
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
os.wait()
"""


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A process that has waited for one child and has another one: pids of both."""
    command = [sys.executable, "-c", PARENT_AND_CHILD]
    with child_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_is_added_up_with_its_descendants(family: tuple[int, int]) -> None:
    parent, child = family
    tree, alone = ProcessTree(parent), ProcessTree(parent, with_descendants=False)
    use, own = tree.read(), alone.read()
    assert use is not None
    assert own is not None
    assert (use.processes, own.processes) == (2, 1)
    assert use.threads == 2
    child_stat = stat_of(child)
    assert child_stat is not None
    assert use.rss_bytes - own.rss_bytes == pytest.approx(child_stat.rss_bytes, rel=0.2)
    assert use.fds == (open_files(parent) or 0) + (open_files(child) or 0)


def test_memory_that_is_shared_counts_once_by_pss(family: tuple[int, int]) -> None:
    """Both have the 30 MB of the parent, one of them has 40 MB more."""
    tree = ProcessTree(family[0])
    use, pss = tree.read(), tree.read_pss()
    assert use is not None
    assert pss is not None
    assert use.rss_bytes > 100_000_000 > pss > 70_000_000


def test_the_cpu_of_a_child_that_has_ended_still_counts(family: tuple[int, int]) -> None:
    use = ProcessTree(family[0]).read()
    assert use is not None
    assert use.cpu_s >= 0.2


def test_a_process_that_is_gone_has_no_figures() -> None:
    with child_process(["true"]) as process:
        process.wait()
    assert ProcessTree(process.pid).read() is None
    assert stat_of(process.pid) is None
    assert open_files(process.pid) is None
    assert transferred(process.pid) is None
    assert pss_bytes(process.pid) is None


def made_up(proc: Path, pid: int, parent: int, ticks: int, name: str = "a) (b") -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    numbers = {4: parent, 14: ticks, 15: ticks, 16: 0, 17: 0, 20: 3, 22: 7, 24: 100}
    words = [str(numbers.get(place, 0)) for place in range(3, 53)]
    (folder / "stat").write_text(f"{pid} ({name}) S {' '.join(words[1:])}\n")
    (folder / "io").write_text("rchar: 5\nread_bytes: 10\nwrite_bytes: 20\n")
    (folder / "smaps_rollup").write_text("55d0-7fff ---p 00000000 00:00 0 [rollup]\nPss:   8 kB\n")


def test_descendants_are_found_where_the_kernel_keeps_no_list_of_children(tmp_path: Path) -> None:
    for pid, parent in ((10, 1), (11, 10), (12, 11), (13, 1)):
        made_up(tmp_path, pid, parent, ticks=50)
    (tmp_path / "meminfo").write_text("")
    tree = ProcessTree(10, proc=tmp_path)
    use = tree.read()
    assert use is not None
    assert (use.processes, use.threads, use.fds) == (3, 9, 0)
    assert (use.read_bytes, use.write_bytes) == (30, 60)
    assert use.cpu_s == pytest.approx(3 * 100 / os.sysconf("SC_CLK_TCK"))
    assert tree.read_pss() == 3 * 8 * 1024


def test_cpu_never_falls_when_a_child_ends_unseen(tmp_path: Path) -> None:
    made_up(tmp_path, 10, 1, ticks=10)
    made_up(tmp_path, 11, 10, ticks=90)
    tree = ProcessTree(10, proc=tmp_path)
    before = tree.read()
    (tmp_path / "11" / "stat").unlink()
    after = tree.read()
    assert before is not None
    assert after is not None
    assert after.cpu_s == before.cpu_s
    assert after.processes == 1


def test_pss_is_unknown_when_one_process_does_not_tell(tmp_path: Path) -> None:
    made_up(tmp_path, 10, 1, ticks=10)
    made_up(tmp_path, 11, 10, ticks=10)
    (tmp_path / "11" / "smaps_rollup").unlink()
    tree = ProcessTree(10, proc=tmp_path)
    assert tree.read() is not None
    assert tree.read_pss() is None
